"""Tasks with a queue, without a bus: they run here; and how their arguments travel."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from perfect_schemas.envelope import StoredValue
from perfect_sdk import flow, task
from perfect_sdk.exceptions import NotSupported, UnsendableArguments
from perfect_sdk.recording.memory import MemoryJournal
from perfect_sdk.remote.arguments import pack, unpack
from perfect_sdk.running.effects import drive
from perfect_sdk.testing import run_flow


@dataclass
class Point:
    x: int


@task(queue="gpu")
def double(n: int) -> int:
    return 2 * n


@flow
def doubled(n: int) -> list[int]:
    return [double(n), *double.map([1, 2]).result()]


def test_without_a_running_system_it_runs_here() -> None:
    made = run_flow(doubled, {"n": 5})
    assert made.result == [10, 2, 4]
    assert [event.type for event in made.events if event.task_key == "double-0"] == [
        "task.started",
        "task.completed",
    ]


@pytest.mark.parametrize("name", ["", "a b", "a.b", "*", "x~tasks", " gpu", 7])
def test_a_queue_has_a_name_that_fits_into_a_subject(name: Any) -> None:
    with pytest.raises(NotSupported, match="queue is a name"):
        task(queue=name)(lambda: None)


def test_with_options_sends_a_task_elsewhere_or_keeps_it() -> None:
    assert double.with_options(queue="cpu").policy.queue == "cpu"
    assert double.with_options(queue=None).policy.queue is None
    assert double.with_options(retries=1).policy.queue == "gpu"


def sent(fn: Any, *args: Any, serializer: Any = "json", **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    journal = MemoryJournal("r")
    stored = drive(pack(journal, "r", "t", args, kwargs, serializer))
    return unpack(stored, fn, journal.load)


def test_arguments_arrive_as_the_annotations_say() -> None:
    def fn(a: Point, b: datetime, *rest: Point, c: tuple[int, ...], d: Any = None, **more: Point) -> None: ...

    args, kwargs = sent(fn, Point(1), datetime(2026, 1, 2), Point(2), Point(3), c=(1, 2), d=(1,), e=Point(4))
    assert args == [Point(1), datetime(2026, 1, 2), Point(2), Point(3)]
    assert kwargs == {"c": (1, 2), "d": [1], "e": Point(4)}


def test_an_annotation_that_does_not_fit_changes_nothing() -> None:
    def fn(n: int) -> None: ...

    assert sent(fn, "many") == (["many"], {})


def test_pickle_takes_what_json_cannot() -> None:
    def fn(value: object) -> None: ...

    assert sent(fn, {1j, Point}, serializer="pickle") == ([{1j, Point}], {})
    with pytest.raises(UnsendableArguments, match=r"argument 'value' cannot be sent there as json .*pickle"):
        sent(fn, value=object())
    with pytest.raises(UnsendableArguments, match=r"argument 2 cannot be sent there as pickle"):
        sent(fn, 1, lambda: None, serializer="pickle")


def test_large_arguments_go_by_reference() -> None:
    def fn(text: str) -> None: ...

    journal = MemoryJournal("r")
    stored: StoredValue = drive(pack(journal, "r", "t", ("x" * 300_000,), {}, "json"))
    assert stored.ref is not None
    assert stored.ref.startswith("r/")
    assert unpack(stored, fn, journal.load) == (["x" * 300_000], {})
