"""Which tasks the inputs of a call came from, as the events with which it begins say it."""

import gc
import weakref
from dataclasses import dataclass
from typing import Any

from perfect_schemas import events as e
from perfect_schemas.envelope import StoredValue
from perfect_schemas.folds.task import BEGINS
from perfect_sdk import allow_failure, flow, quote, task, unmapped
from perfect_sdk.cache_policies import INPUTS
from perfect_sdk.calling.sources import MOST_BYTES, MOST_RESULTS, Sources
from perfect_sdk.testing import FlowResult, resume, run_flow


@task
def one(value: Any = 1) -> Any:
    return value


@task
def made(*values: Any) -> list[Any]:
    return list(values)


@task
def bad() -> None:
    raise ValueError("bad")


def after(result: FlowResult) -> dict[str, list[str]]:
    """Of each task that says so."""
    return {
        event.task_key: list(event.after) for event in result.events if type(event) in BEGINS and event.after
    }


def test_futures_among_the_inputs_and_wait_for_each_once_and_in_order():
    @flow
    def main() -> None:
        a, b, c = one.submit(1), one.submit(2), one.submit(3)
        made.submit(b, [a, {"x": b}], wait_for=[c, a]).wait()
        one.submit(4, wait_for=[c]).wait()
        one.submit(5).wait()

    assert after(run_flow(main)) == {"made-0": ["one-1", "one-0", "one-2"], "one-3": ["one-2"]}


def test_a_task_whose_inputs_come_from_nowhere_says_nothing_of_it():
    @flow
    def main() -> None:
        one.submit(one(7)).wait()

    result = run_flow(main)
    assert after(result) == {}
    began = [event for event in result.events if isinstance(event, e.TaskStarted)]
    assert len(began) == 2
    assert all(b'"after"' not in e_json for e_json in map(_json, began))


def _json(event: Any) -> bytes:
    from perfect_schemas import codec

    return codec.encode(event)


def test_marks():
    @flow
    def main() -> None:
        a, failed = one.submit(1), bad.submit()
        one(allow_failure(failed))
        made.submit(quote(a)).wait()
        made.map([1, 2], unmapped(a)).wait()

    assert after(run_flow(main)) == {"one-1": ["bad-0"], "made-1": ["one-0"], "made-2": ["one-0"]}


def test_a_task_that_was_skipped_says_whose_result_it_lacks():
    @flow
    def main() -> None:
        one.submit(bad.submit()).wait()

    result = run_flow(main)
    (skipped,) = [event for event in result.events if isinstance(event, e.TaskSkipped)]
    assert skipped.after == ["bad-0"]


def test_a_chain_of_maps_and_a_map_over_the_result_of_one():
    @flow
    def main() -> None:
        first = one.map([1, 2])
        second = made.map(first)
        one.map(made.submit(8, 9), wait_for=[second[0]]).wait()

    assert after(run_flow(main)) == {
        "made-0": ["one-0"],
        "made-1": ["one-1"],
        "one-2": ["made-0", "made-2"],
        "one-3": ["made-0", "made-2"],
    }


def test_the_very_object_that_a_task_returned():
    @dataclass
    class Table:
        rows: list[int]

    @task
    def table() -> Table:
        return Table([1])

    @flow
    def main() -> None:
        numbers = made(1, 2)
        whole = table()
        one([whole, numbers])
        one(numbers)
        one(unmapped(numbers))
        one({"x": whole}["x"])
        one(value=whole)
        one([1, 2])  # the same numbers, but another list
        one("text")

    result = run_flow(main)
    assert after(result) == {
        "one-0": ["table-0", "made-0"],
        "one-1": ["made-0"],
        "one-2": ["one-1"],  # which has returned it, too
        "one-3": ["table-0"],
        "one-4": ["one-3"],
    }


def test_a_map_over_what_a_task_returned():
    @flow
    def main() -> None:
        numbers = made(1, 2)
        one.map(numbers, wait_for=[made.submit()])
        one.map([1, 2])
        made.map([3], unmapped(numbers)).wait()

    assert after(run_flow(main)) == {
        "one-0": ["made-1", "made-0"],
        "one-1": ["made-1", "made-0"],
        "made-2": ["made-0"],
    }


def test_numbers_and_texts_are_not_known_again():
    @flow
    def main() -> None:
        one(one("a text that is long enough"))
        one(one(123456))
        one(one((1, 2)))
        one(one(None))

    assert after(run_flow(main)) == {}


def test_a_resumed_run_says_of_what_is_new_where_it_came_from():
    @flow
    def main() -> None:
        a = made.submit(1)
        numbers = made(2)
        one([numbers])
        made.submit(a, numbers).wait()

    first = run_flow(main)
    expected = after(first)
    assert expected == {"one-0": ["made-1"], "made-2": ["made-0", "made-1"]}
    for n in range(2, len(first.events)):
        assert after(resume(main, first.events[:n])) == expected


def test_a_result_from_the_cache_comes_from_the_same_tasks():
    @task(cache_policy=INPUTS)
    def kept(value: list[int]) -> list[int]:
        return value

    @flow
    def main() -> None:
        kept(made(1))
        kept(made(1))
        one(kept(made(1)))

    result = run_flow(main)
    cached = [event for event in result.events if isinstance(event, e.TaskCached)]
    assert [event.after for event in cached] == [["made-1"], ["made-2"]]
    assert after(result)["one-0"] == ["kept-2"]


def stored(size: int) -> StoredValue:
    return StoredValue(size_bytes=size)


def test_nothing_is_kept_alive_that_can_be_referred_to_weakly():
    class Large:
        pass

    sources, large = Sources(), Large()
    gone = weakref.ref(large)
    sources.learn("a-0", large, stored(10))
    assert sources.among((large,), {}) == ["a-0"]
    del large
    gc.collect()
    assert gone() is None


def test_what_is_kept_alive_is_little():
    sources = Sources()
    long = [0]
    sources.learn("long-0", long, stored(1 << 20))
    assert sources.among((long,), {}) == []
    lists = [[n] for n in range(100)]
    for n, each in enumerate(lists):
        sources.learn(f"a-{n}", each, stored(MOST_BYTES // 50))
    assert sources.among((), {"x": lists[0], "y": lists[50], "z": lists[99]}) == ["a-50", "a-99"]
    for n in range(MOST_RESULTS):
        lists.append([n])
        sources.learn(f"b-{n}", lists[-1], stored(2))
    assert sources.among((lists[99], lists[100]), {}) == ["b-0"]
