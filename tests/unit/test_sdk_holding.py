"""A run that somebody pauses from outside: where it stops, what it finishes first, and that it goes on from there."""

import asyncio
import threading
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfect_schemas import events as e
from perfect_schemas import ids
from perfect_schemas.envelope import utc_now
from perfect_schemas.folds import run as fold
from perfect_sdk import flow, sleep, task
from perfect_sdk.context import current
from perfect_sdk.testing import FlowResult, resume, resume_async, run_flow, run_flow_async

ran: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()


def pause_from_outside() -> None:
    """What the engine says, and the guard reveals, while the code runs."""
    frame = current.get()
    assert frame is not None
    journal = frame.session.root.journal
    if not journal.is_pausing:
        run_id = frame.session.root.run.run_id
        journal.commit(e.RunPausing(id=ids.uuid7(), at=utc_now(), source="engine", run_id=run_id, by="ann"))


@task
def step(name: str, pauses: bool = False) -> str:
    ran[name] += 1
    if pauses:
        pause_from_outside()
    return name


@task
async def step_async(name: str, pauses: bool = False) -> str:
    ran[name] += 1
    await asyncio.sleep(0)
    if pauses:
        pause_from_outside()
    await asyncio.sleep(0)
    return name


def suspensions(result: FlowResult) -> list[tuple[str, str]]:
    """Of the run and its child runs: whose, and under which key."""
    names = {one.run_id: one.flow_name for one in result.events if isinstance(one, e.RunScheduled)}
    return [
        (names[one.run_id or ""], one.key or "") for one in result.events if isinstance(one, e.RunSuspended)
    ]


@flow
def in_a_row(at: int) -> list[str]:
    return [step(str(n), pauses=n == at) for n in range(4)]


@pytest.mark.parametrize("at", range(3))
def test_it_stops_at_the_next_call_and_goes_on_from_there(at: int) -> None:
    paused = run_flow(in_a_row, {"at": at})
    assert paused.state == "PAUSED"
    assert list(ran) == [str(n) for n in range(at + 1)]
    assert suspensions(paused) == [("in-a-row", "pausing-1")]
    ended = resume(in_a_row, paused.events)
    assert (ended.state, ended.result) == ("COMPLETED", ["0", "1", "2", "3"])
    assert set(ran.values()) == {1}


def test_a_run_without_another_call_completes() -> None:
    assert run_flow(in_a_row, {"at": 3}).state == "COMPLETED"


@task
def parent_task() -> str:
    pause_from_outside()
    return step("inside") + inner_flow("in a task")


@flow
def inner_flow(name: str) -> str:
    return step(f"{name} 1") + step(f"{name} 2")


@flow
def with_a_task_that_calls() -> str:
    return parent_task() + step("after")


def test_a_task_that_runs_is_finished_with_all_that_it_calls() -> None:
    paused = run_flow(with_a_task_that_calls)
    assert (paused.state, list(ran)) == ("PAUSED", ["inside", "in a task 1", "in a task 2"])
    ended = resume(with_a_task_that_calls, paused.events)
    assert ended.state == "COMPLETED"
    assert set(ran.values()) == {1}


@flow
def nested(name: str) -> str:
    return step(f"{name} 1", pauses=True) + step(f"{name} 2")


@flow
def around_nested() -> str:
    return step("before") + nested("child") + step("after")


def test_a_child_run_stops_where_it_is_and_its_parent_with_it() -> None:
    paused = run_flow(around_nested)
    assert (paused.state, list(ran)) == ("PAUSED", ["before", "child 1"])
    assert suspensions(paused) == [("nested", "pausing-1"), ("around-nested", "pausing-1")]
    ended = resume(around_nested, paused.events)
    assert (ended.state, ended.result) == ("COMPLETED", "beforechild 1child 2after")
    assert set(ran.values()) == {1}


def test_a_crash_before_it_stopped() -> None:
    """The next epoch stops at its first call that is not replayed."""
    paused = run_flow(around_nested)
    cut = next(n for n, one in enumerate(paused.events) if isinstance(one, e.RunSuspended))
    again = resume(around_nested, paused.events[:cut])
    assert (again.state, list(ran)) == ("PAUSED", ["before", "child 1"])
    cut = max(n for n, one in enumerate(paused.events) if isinstance(one, e.RunSuspended))
    again = resume(around_nested, paused.events[:cut])
    assert (again.state, list(ran)) == ("PAUSED", ["before", "child 1"])
    assert resume(around_nested, again.events).state == "COMPLETED"
    assert set(ran.values()) == {1}


@flow
def sleeps_after() -> str:
    step("a", pauses=True)
    sleep(3600)
    return step("b")


def test_a_wait_is_a_place_to_stop_and_its_clock_goes_on() -> None:
    paused = run_flow(sleeps_after)
    assert suspensions(paused) == [("sleeps-after", "pausing-1")]
    asleep = resume(sleeps_after, paused.events)
    assert suspensions(asleep)[1:] == [("sleeps-after", "sleep-0")]
    began, slept = (one for one in asleep.events if isinstance(one, e.RunSuspended))
    assert slept.wake_at == began.pending["sleep-0"]
    assert resume(sleeps_after, asleep.events).result == "b"


@task
def slow(name: str, begun: threading.Event, end: threading.Event) -> str:
    ran[name] += 1
    begun.set()
    assert end.wait(20)
    return name


def test_calls_under_way_are_finished_and_those_that_wait_are_not_begun() -> None:
    begun, end = threading.Event(), threading.Event()

    @flow
    def many() -> list[str]:
        first = slow.submit("slow", begun, end)
        assert begun.wait(20) or ran["slow"]
        second = step.submit("pauses", pauses=True)
        second.wait()
        rest = [step.submit(f"rest {n}") for n in range(200)]
        end.set()
        return [one.result() for one in [first, second, *rest]]

    paused = run_flow(many)
    assert (paused.state, dict(ran)) == ("PAUSED", {"slow": 1, "pauses": 1})
    assert {one.key for one in paused.tasks if one.state == "COMPLETED"} == {"slow-0", "step-0"}
    ended = resume(many, paused.events)
    assert (ended.state, len(ended.result)) == ("COMPLETED", 202)
    assert set(ran.values()) == {1}


@flow
async def branches(at: int) -> list[str]:
    async def branch(n: int) -> str:
        first = await step_async(f"{n} first", pauses=n == at)
        if n % 2:
            await sleep(3600)
        return first + await step_async(f"{n} second")

    return await asyncio.gather(*[branch(n) for n in range(4)])


@pytest.mark.parametrize("at", range(4))
async def test_branches_stop_together(at: int) -> None:
    paused = await run_flow_async(branches, {"at": at})
    assert paused.state == "PAUSED"
    assert suspensions(paused) == [("branches", "pausing-1")]
    result = paused
    for _ in range(3):
        result = await resume_async(branches, result.events)
        if result.state == "COMPLETED":
            break
    assert len(result.result) == 4
    assert set(ran.values()) == {1}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.lists(st.integers(0, 8), max_size=3), cut=st.floats(0, 1))
def test_wherever_it_is_paused_and_killed_every_body_runs_once(at: list[int], cut: float) -> None:
    ran.clear()

    @flow
    def child(base: int) -> int:
        for n in range(3):
            step(str(base + n), pauses=base + n in at)
        return base

    @flow
    def parent() -> int:
        step("0", pauses=0 in at)
        got = child(1) + child(4)
        return got + len(step("8", pauses=8 in at))

    result = run_flow(parent)
    for _ in range(6):
        if result.state == "COMPLETED":
            break
        events = list(result.events)
        own = [n for n, one in enumerate(events) if isinstance(one, e.RunSuspended)]
        if own and cut < 0.5:  # killed before any, or the last, of the suspensions was written
            events = events[: own[int(cut * 2 * len(own))]] if _is_new(events, own) else events
            cut = 1.0
        result = resume(parent, events)
    assert result.state == "COMPLETED"
    assert set(ran) == {str(n) for n in [0, 1, 2, 3, 4, 5, 6, 8]}
    assert set(ran.values()) == {1}


def _is_new(events: list[e.Event], own: list[int]) -> bool:
    """Whether nothing but suspensions stands after the first of them: then it may as well not have been written."""
    return all(isinstance(one, e.RunSuspended) for one in events[own[0] :])


def test_the_fold() -> None:
    paused = run_flow(in_a_row, {"at": 1})
    life = None
    said = []
    for seq, event in enumerate(paused.events, 1):
        life = fold.evolve(life, event, seq)
        if life is not None:
            said.append((fold.is_pausing(life), fold.is_paused_from_outside(life)))
    assert [one for n, one in enumerate(said) if one not in said[:n]] == [
        (False, False), (True, False), (False, True),
    ]  # fmt: skip
    resumed = e.RunResumed(id=ids.uuid7(), at=utc_now(), source="engine", run_id=paused.run.run_id)
    assert life is not None
    assert life.pausing_by == "ann"
    life = fold.evolve(life, resumed, 99)
    assert life is not None
    assert life.pausing_by is None


# -- tries of a child run


@flow(retries=2)
def fails_twice() -> str:
    times = ran["try"] = ran["try"] + 1
    step("once")
    sleep(3600)
    raise ValueError(f"time {times}")


@flow
def calls_it() -> str:
    return fails_twice()


def test_tries_of_a_child_run_are_counted_on_after_a_suspension_and_after_a_crash() -> None:
    """It is called again at each hand-over, so that its third try is the last, whatever was cut off."""
    waiting = run_flow(calls_it)
    assert suspensions(waiting)[0] == ("fails-twice", "sleep-0")
    between = resume(calls_it, waiting.events)
    said = [one for one in between.events if isinstance(one, e.RunRetrying)]
    assert [one.tries for one in said] == [1, 2]
    assert (between.state, str(between.error), ran["once"]) == ("FAILED", "time 4", 1)
    first = between.events.index(said[0])
    cut = resume(calls_it, between.events[: first + 1])  # killed before its second try began
    assert (cut.state, str(cut.error)) == ("FAILED", "time 6")
    assert [one.tries for one in cut.events if isinstance(one, e.RunRetrying)] == [1, 2]


def test_a_child_run_is_cancelled_between_two_tries() -> None:
    begun = threading.Event()

    @flow(retries=1, retry_delay_seconds=600)
    def failing() -> None:
        begun.set()
        raise ValueError("no")

    @flow
    def outer() -> None:
        session = current.get().session  # type: ignore[union-attr]
        timer = threading.Timer(0.05, lambda: (begun.wait(20), session.cancel("ann")))
        timer.start()
        failing()

    result = run_flow(outer)
    assert result.state == "CANCELLED"
    child = next(one.run_id for one in result.events if isinstance(one, e.RunRetrying))
    kinds = [one.type for one in result.events if one.run_id == child]
    assert kinds == ["run.scheduled", "run.started", "run.retrying", "run.cancelled"]
