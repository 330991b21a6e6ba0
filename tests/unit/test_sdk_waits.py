"""Waits: the run gives its slot up, its code is unwound, and goes on where it was, whatever was cut off."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from waited import Approval, calls, last_wait, step

from perfect_schemas import events as e
from perfect_sdk import (
    flow,
    pause_flow_run,
    sleep,
    task,
)
from perfect_sdk.testing import FlowResult, resume, resume_async, run_flow, run_flow_async


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()


@task
async def step_async(name: str) -> str:
    calls[name] += 1
    await asyncio.sleep(0)
    return name


@flow
def sequence() -> list[Any]:
    said: list[Any] = [step("a")]
    sleep(3600)
    said.append(step("b"))
    said.append(pause_flow_run(wait_for_input=Approval).approved)
    said.append(step("c"))
    sleep(timedelta(hours=1))
    pause_flow_run()
    said.append(step("d"))
    return said


@flow
def waiting_child(name: str) -> str:
    step(f"{name} 1")
    sleep(3600)
    given = pause_flow_run(wait_for_input=Approval)
    return step(f"{name} 2 {given.approved}")


@flow
def with_children() -> list[str]:
    return [step("before"), waiting_child("x"), step("between"), waiting_child("y"), step("after")]


@flow
async def side_by_side() -> list[str]:
    async def branch(n: int) -> str:
        await step_async(f"a{n}")
        await sleep(0.15 + n / 10)
        return await step_async(f"b{n}")

    parts = await asyncio.gather(*[branch(n) for n in range(3)])
    approval = await pause_flow_run(wait_for_input=Approval)
    return [*parts, str(approval.approved)]


GIVEN = {"approved": True}


def to_the_end(which: Any, result: FlowResult) -> FlowResult:
    for _ in range(20):
        if result.state != "PAUSED":
            return result
        result = resume(which, result.events, run_input=GIVEN)
    raise AssertionError("it waits again and again")


async def to_the_end_async(which: Any, result: FlowResult) -> FlowResult:
    for _ in range(20):
        if result.state != "PAUSED":
            return result
        result = await resume_async(which, result.events, run_input=GIVEN)
    raise AssertionError("it waits again and again")


def completed(events: list[e.Event]) -> set[str]:
    return {event.task_run_id for event in events if isinstance(event, e.TaskCompleted)}


def check(first: FlowResult, again: FlowResult, before: list[e.Event]) -> None:
    assert again.state == "COMPLETED", again.outcome
    assert again.outcome.value == first.outcome.value
    started = {event.task_run_id for event in again.events[len(before) :] if isinstance(event, e.TaskStarted)}
    assert not completed(before) & started
    when: dict[tuple[str, str], Any] = {}
    for event in again.events:  # what was recorded first stays
        if isinstance(event, e.RunSuspended) and event.wake_at is not None:
            assert when.setdefault((event.run_id, event.key), event.wake_at) == event.wake_at


@pytest.mark.parametrize("which", [sequence, with_children], ids=lambda f: f.name)
def test_a_resume_from_any_point_ends_the_same(which):
    first = to_the_end(which, run_flow(which))
    assert first.state == "COMPLETED", first.outcome
    assert set(calls.values()) == {1}
    for n in range(2, len(first.events)):
        before = first.events[:n]
        check(first, to_the_end(which, resume(which, before, run_input=GIVEN)), before)


async def test_an_async_resume_from_any_point_ends_the_same():
    first = await to_the_end_async(side_by_side, await run_flow_async(side_by_side))
    assert first.outcome.value == ["b0", "b1", "b2", "True"]
    assert set(calls.values()) == {1}
    for n in range(2, len(first.events)):
        before = first.events[:n]
        check(
            first,
            await to_the_end_async(side_by_side, await resume_async(side_by_side, before, run_input=GIVEN)),
            before,
        )


actions = st.lists(
    st.sampled_from(["step", "sleep", "pause", "child", "keyed", "submit"]), min_size=1, max_size=6
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=actions, data=st.data())
def test_any_mixture_of_work_and_waits_survives_any_cut(plan: list[str], data: st.DataObject) -> None:
    def one(n: int, action: str) -> Any:
        if action == "step":
            return step(f"{n}")
        if action == "sleep":
            return sleep(3600)
        if action == "pause":
            return pause_flow_run(wait_for_input=Approval).approved
        if action == "keyed":
            return pause_flow_run(wait_for_input=Approval, key="same").approved
        if action == "child":
            return waiting_child(f"{n}")
        return [future.result() for future in [step.submit(f"{n}.{i}") for i in range(3)]]

    @flow
    def planned() -> list[Any]:
        return [one(n, action) for n, action in enumerate(plan)]

    first = to_the_end(planned, run_flow(planned))
    before = first.events[: data.draw(st.integers(2, max(2, len(first.events) - 1)))]
    check(first, to_the_end(planned, resume(planned, before, run_input=GIVEN)), before)


def test_a_wait_is_written_with_all_that_it_takes_to_end_it():
    result = run_flow(sequence)
    assert result.outcome.state == "suspended"
    assert result.outcome.as_state().is_paused()
    wait = last_wait(result)
    assert (wait.waits_for, wait.key) == ("sleep", "sleep-0")
    assert timedelta(minutes=59) < wait.wake_at - datetime.now(UTC) <= timedelta(hours=1)
    result = resume(sequence, result.events)
    wait = last_wait(result)
    assert (wait.waits_for, wait.key) == ("input", "pause-0")
    assert wait.input_schema["required"] == ["approved"]
    assert wait.wake_at is not None


def test_calls_that_wait_for_one_that_waits_do_not_hold_the_run():
    @flow
    def child() -> str:
        sleep(3600)
        return "child"

    @task
    def calls_child() -> str:
        return child()

    @task
    def after(text: str) -> str:
        return f"{text} after"

    @flow
    def chained() -> list[str]:
        first = calls_child.submit()

        @task
        def asks() -> str:
            return f"{first.result()} asked"

        return [after.submit(first).result(), asks.submit().result()]

    result = run_flow(chained)
    assert result.state == "PAUSED"
    assert to_the_end(chained, result).result == ["child after", "child asked"]
