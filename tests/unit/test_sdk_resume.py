"""The promise of durability: cut the history anywhere, resume, and nothing that completed runs again."""

import asyncio
import threading
from collections import Counter

import pytest

from perfect_schemas import events as e
from perfect_sdk import flow, task
from perfect_sdk.testing import resume, resume_async, run_flow, run_flow_async

calls: Counter[str] = Counter()
_lock = threading.Lock()


def count(name: str) -> None:
    with _lock:
        calls[name] += 1


@pytest.fixture(autouse=True)
def _fresh_counter():
    calls.clear()


@task
def add(a: int, b: int) -> int:
    count(f"add {a} {b}")
    return a + b


@task
def fail(why: str) -> int:
    count(f"fail {why}")
    raise ValueError(why)


@task
def outer(n: int) -> int:
    count(f"outer {n}")
    return sum(add(n, i) for i in range(2))


@task
async def double(n: int, order: int = 0) -> int:
    for _ in range(order):
        await asyncio.sleep(0)
    count(f"double {n}")
    return 2 * n


@flow
def inner_flow(n: int) -> int:
    count(f"inner_flow {n}")
    return add(n, 1000) + add(n, 2000)


@flow
def sequential(n: int = 4) -> int:
    total = 0
    for i in range(n):
        total = add(total, i)
    return total


@flow
def nested() -> int:
    return outer(1) + outer(10)


@flow
def caught() -> list[object]:
    said: list[object] = [add(1, 1)]
    try:
        fail("no")
    except ValueError as error:
        said.append(str(error))
        said.append(add(2, 2))
    return said


@flow
def submitted() -> list[int]:
    futures = [add.submit(i, 100) for i in range(4)]
    later = add.submit(futures[0], futures[1])
    return [*(future.result() for future in futures), later.result(), *add.map([7, 8], [9, 10]).result()]


@flow
def with_child() -> int:
    return add(1, 2) + inner_flow(3) + add(5, 6)


@flow
async def gathered() -> list[int]:
    first = await asyncio.gather(*[double(i, 5 - i) for i in range(4)])

    async def branch(i: int) -> int:
        for _ in range(7 - i):
            await asyncio.sleep(0)
        return await double(i * 100) + await double(i * 1000)

    second = await asyncio.gather(*[branch(i) for i in range(3)])
    async with asyncio.TaskGroup() as group:
        third = [group.create_task(branch(i)) for i in range(10, 12)]
    return [*first, *second, *(each.result() for each in third)]


@flow
async def async_submitted() -> list[int]:
    futures = [double.submit(i, 5 - i) for i in range(4)]
    mixed = add.submit(futures[0], futures[3])
    return [*[await future for future in futures], await mixed]


def cuts(events: list[e.Event]) -> list[list[e.Event]]:
    """Every prefix that a crash could leave: from the claim on, without the run's end."""
    return [events[:n] for n in range(2, len(events))]


def completed_bodies(before: list[e.Event]) -> set[str]:
    return {event.task_run_id for event in before if isinstance(event, e.TaskCompleted)}


def started_again(before: list[e.Event], after: list[e.Event]) -> set[str]:
    return {event.task_run_id for event in after[len(before) :] if isinstance(event, e.TaskStarted)}


def check(first, again, before) -> None:
    assert again.state == first.state
    assert again.outcome.value == first.outcome.value
    assert not completed_bodies(before) & started_again(before, again.events)
    ids = {task.key: task.id for task in first.tasks}
    assert {task.key: task.id for task in again.tasks} == ids


@pytest.mark.parametrize("which", [sequential, nested, caught, submitted, with_child], ids=lambda f: f.name)
def test_a_resume_from_any_point_ends_the_same(which):
    first = run_flow(which)
    assert first.state == "COMPLETED", first.outcome
    once = dict(calls)
    for before in cuts(first.events):
        calls.clear()
        again = resume(which, before)
        check(first, again, before)
        finished = len(completed_bodies(before))
        assert all(times <= 1 for name, times in calls.items() if not name.startswith(("outer", "inner"))), (
            finished
        )
    assert once


@pytest.mark.parametrize("which", [gathered, async_submitted], ids=lambda f: f.name)
async def test_an_async_resume_from_any_point_ends_the_same(which):
    first = await run_flow_async(which)
    assert first.state == "COMPLETED", first.outcome
    for before in cuts(first.events):
        again = await resume_async(which, before)
        check(first, again, before)


def test_a_resume_after_the_last_task_calls_nothing():
    first = run_flow(sequential)
    calls.clear()
    again = resume(sequential, first.events[:-1])
    assert again.result == first.result
    assert not calls


def test_a_failed_task_raises_its_recorded_error_again_without_being_called():
    first = run_flow(caught)
    assert first.result == [2, "no", 4]
    calls.clear()
    again = resume(caught, first.events[:-1])
    assert again.result == [2, "no", 4]
    assert not calls


def test_a_child_run_has_events_of_its_own_and_is_not_run_twice():
    first = run_flow(with_child)
    own = [event for event in first.events if event.run_id != first.run.run_id]
    kinds = [event.type for event in own]
    assert kinds[:2] == ["run.scheduled", "run.started"]
    assert kinds[-1] == "run.completed"
    assert own[0].parent_run_id == first.run.run_id
    assert own[0].origin == "child"
    child_key = next(task.key for task in first.tasks if task.name == "inner-flow")
    assert own[0].parent_task_key == child_key
    end = next(i for i, event in enumerate(first.events) if event is own[-1])
    calls.clear()
    again = resume(with_child, first.events[: end + 1])  # the child ended, its parent had not recorded it yet
    assert again.result == first.result
    assert set(calls) == {"add 5 6"}


def test_a_child_whose_process_died_goes_on_in_its_next_epoch():
    first = run_flow(with_child)
    done = next(
        i
        for i, event in enumerate(first.events)
        if event.run_id != first.run.run_id and event.type == "task.completed"
    )
    calls.clear()
    again = resume(with_child, first.events[: done + 1])
    assert again.result == first.result
    assert set(calls) == {"inner_flow 3", "add 3 2000", "add 5 6"}
    claims = [
        event.epoch
        for event in again.events
        if event.type == "run.started" and event.run_id != again.run.run_id
    ]
    assert claims == [1, 2]
