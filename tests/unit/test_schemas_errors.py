import pytest

from perfect_schemas import errors
from perfect_schemas.errors import FieldError, PerfectError, from_problem


def all_errors(kind: type[PerfectError] = PerfectError) -> list[type[PerfectError]]:
    return [kind, *(one for child in kind.__subclasses__() for one in all_errors(child))]


OF_THE_SCHEMAS = [kind for kind in all_errors() if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", OF_THE_SCHEMAS)
def test_every_error_formats_and_knows_its_status(kind: type[PerfectError]) -> None:
    error = kind("run x does not exist", [FieldError("parameters.day", "is not a date")])
    problem = error.problem()
    assert str(error) == problem.detail == "run x does not exist"
    assert problem.status == kind.status
    assert 400 <= problem.status < 600
    assert problem.title
    assert problem.errors[0].field == "parameters.day"


@pytest.mark.parametrize("kind", OF_THE_SCHEMAS)
def test_an_error_comes_out_of_its_problem_with_the_same_status(kind: type[PerfectError]) -> None:
    again = from_problem(kind("why").problem())
    assert (again.status, again.detail) == (kind.status, "why")


def test_you_did_wrong_is_4xx_and_the_system_failed_is_5xx() -> None:
    for kind in OF_THE_SCHEMAS:
        if issubclass(kind, errors.Rejected):
            assert 400 <= kind.status < 500
        if issubclass(kind, errors.Failed):
            assert kind.status >= 500


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = [line for line in errors.__doc__.splitlines() if "──" in line]
    names = {line.split("── ")[1].split()[0]: line for line in drawn}
    assert set(names) == {kind.__name__ for kind in OF_THE_SCHEMAS} - {"PerfectError"}
    for kind in OF_THE_SCHEMAS[1:]:
        line = names[kind.__name__]
        assert (line.index("──") > 1) is (kind.__bases__[0] is not PerfectError), line
        if kind.__bases__[0] is not PerfectError:
            assert f" {kind.status} " in line
