"""A parameter that does not fit its type hint fails before the flow's code runs."""

from prefect import flow
from prefect.exceptions import ParameterBindError, ParameterTypeError

ran = []


@flow
def needs_number(x: int, y: int = 2) -> int:
    ran.append(x)
    return x + y


def check():
    try:
        needs_number("not a number")
    except ParameterTypeError as error:
        assert "x" in str(error)
    else:
        raise AssertionError("it ran")
    try:
        needs_number(1, 2, 3)
    except (ParameterBindError, TypeError):
        pass
    else:
        raise AssertionError("it ran")
    assert ran == []
    assert needs_number(1) == 3
