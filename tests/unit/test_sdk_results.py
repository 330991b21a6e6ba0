"""Results and errors come back from the record as what they were."""

import dataclasses
from datetime import datetime

import pytest
from recorded import of_type

from perfect_schemas import events as e
from perfect_sdk import flow, task
from perfect_sdk.exceptions import (
    RecordedError,
)
from perfect_sdk.testing import resume, run_flow


@dataclasses.dataclass
class Point:
    x: int
    when: datetime


def test_a_dataclass_comes_back_as_a_dataclass():
    point = Point(1, datetime(2026, 1, 2, 3, 4))

    @task
    def make() -> Point:
        return point

    @task
    def many() -> dict[str, list[Point]]:
        return {"p": [point]}

    @flow
    def main() -> list[str]:
        assert make() == point
        assert many() == {"p": [point]}
        return [type(make()).__name__]

    first = run_flow(main)
    assert first.result == ["Point"]
    assert resume(main, first.events[:-1]).result == ["Point"]


class Odd:
    """Nothing that JSON has."""

    def __eq__(self, other):
        return isinstance(other, Odd)

    __hash__ = None


def test_a_result_that_cannot_be_stored_warns_once_and_the_task_runs_again():
    ran = []

    @task
    def odd() -> Odd:
        ran.append(1)
        return Odd()

    @flow
    def main() -> object:
        assert odd() == odd()
        return Odd()

    first = run_flow(main)
    assert first.state == "COMPLETED"
    assert [event.result for event in of_type(first, e.TaskCompleted)] == [None, None]
    assert of_type(first, e.RunCompleted)[0].result is None
    warnings = [line.message for line in first.logs if line.level == 30]
    assert len(warnings) == 2  # one for the task, one for the flow
    assert "'odd'" in warnings[0]
    assert "Odd" in warnings[0]
    again = resume(main, first.events[:-1])
    assert again.state == "COMPLETED"
    assert len(ran) == 4


def test_pickle_keeps_any_value():
    ran = []

    @task(result_serializer="pickle")
    def odd() -> Odd:
        ran.append(1)
        return Odd()

    @flow
    def main() -> bool:
        return odd() == Odd()

    first = run_flow(main)
    stored = of_type(first, e.TaskCompleted)[0].result
    assert stored.serializer == "pickle"
    assert resume(main, first.events[:-1]).result is True
    assert len(ran) == 1


@pytest.mark.parametrize("serializer", ["json", "pickle"])
def test_a_large_result_is_kept_by_reference(serializer):
    ran = []

    @task(result_serializer=serializer)
    def large() -> str:
        ran.append(1)
        return "x" * 300_000

    @flow(result_serializer=serializer)
    def main() -> str:
        return large()

    first = run_flow(main)
    stored = of_type(first, e.TaskCompleted)[0].result
    assert stored.ref in first.journal.shared.objects
    assert stored.size_bytes >= 300_000
    again = resume(main, first.events[:-1], objects=first.journal.shared.objects)
    assert again.result == "x" * 300_000
    assert len(ran) == 1


class CustomError(Exception):
    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail

    def __reduce__(self):
        return type(self), (self.code, self.detail)


def test_a_recorded_error_has_its_class_and_arguments():
    seen = []

    @task
    def bad(how: str) -> None:
        if how == "custom":
            raise CustomError(404, "gone")
        if how == "local":

            class Local(Exception):
                pass

            raise Local("here only")
        raise KeyError("k")

    @flow
    def main() -> None:
        for how in ("custom", "local", "key"):
            try:
                bad(how)
            except Exception as error:
                seen.append(error)

    first = run_flow(main)
    seen.clear()
    resume(main, first.events[:-1])
    custom, local, key = seen
    assert isinstance(custom, CustomError)
    assert (custom.code, custom.detail) == (404, "gone")
    assert isinstance(local, RecordedError)
    assert "here only" in str(local)
    assert isinstance(key, KeyError)
    assert key.args == ("k",)
    assert "Recorded by an earlier execution" in key.__notes__[0]
