"""Waits: the run gives its slot up, its code is unwound, and goes on where it was, whatever was cut off."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perfect_schemas import events as e
from perfect_sdk import (
    apause_flow_run,
    asleep,
    flow,
    pause_flow_run,
    resume_flow_run,
    run_deployment,
    sleep,
    suspend_flow_run,
    task,
)
from perfect_sdk.concurrency.asyncio import concurrency as concurrency_async
from perfect_sdk.concurrency.asyncio import rate_limit as rate_limit_async
from perfect_sdk.concurrency.slots import _warned
from perfect_sdk.concurrency.sync import concurrency, rate_limit
from perfect_sdk.exceptions import (
    ConcurrencySlotAcquisitionError,
    FlowPauseTimeout,
    InvalidInput,
    MissingContextError,
    NonDeterministicFlowError,
    NotSupported,
    ParameterTypeError,
)
from perfect_sdk.input import RunInput, from_input, input_schema
from perfect_sdk.recording.journal import FlowSuspended
from perfect_sdk.testing import FlowResult, resume, resume_async, run_flow, run_flow_async

calls: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()
    _warned.clear()


@task
def step(name: str) -> str:
    calls[name] += 1
    return name


@task
async def step_async(name: str) -> str:
    calls[name] += 1
    await asyncio.sleep(0)
    return name


class Approval(RunInput):
    approved: bool
    comment: str = ""


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


def last_wait(result: FlowResult) -> e.RunSuspended:
    return [event for event in result.events if isinstance(event, e.RunSuspended)][-1]


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


def test_finally_blocks_run_and_nothing_else_when_the_code_is_unwound():
    seen: list[str] = []

    @flow
    def careful() -> None:
        try:
            sleep(3600)
        except Exception:
            seen.append("except")
        except FlowSuspended:
            seen.append("suspended")
            raise
        finally:
            seen.append("finally")

    assert run_flow(careful).state == "PAUSED"
    assert seen == ["suspended", "finally"]


@pytest.mark.parametrize("kind", ["swallows", "raises", "calls"])
def test_a_flow_that_resists_its_suspension_is_suspended_all_the_same(kind):
    @flow
    def stubborn() -> str:
        try:
            sleep(3600)
        except BaseException:
            if kind == "raises":
                raise ValueError("no") from None
            if kind == "calls":
                return step("never")
        return "done"

    result = run_flow(stubborn)
    assert result.state == "PAUSED"
    assert not calls


def test_what_is_under_way_ends_before_the_run_is_suspended():
    @task
    def slow() -> str:
        time.sleep(0.2)  # stands for work
        calls["slow"] += 1
        return "slow"

    @flow
    def beside() -> str:
        future = slow.submit()
        sleep(3600)
        return future.result()

    result = run_flow(beside)
    assert [event.type for event in result.events][-2:] == ["task.completed", "run.suspended"]
    result = resume(beside, result.events)
    assert result.result == "slow"
    assert calls["slow"] == 1


def test_a_short_sleep_is_not_worth_a_suspension_and_is_not_slept_again():
    @flow
    def quick() -> str:
        for n in range(5):
            sleep(0.05)
            step(f"{n}")
        return "done"

    result = run_flow(quick)
    assert result.state == "COMPLETED"
    begin = time.monotonic()
    assert resume(quick, result.events[:-1]).result == "done"
    assert time.monotonic() - begin < 0.1


def test_a_pause_times_out():
    @flow
    def hasty() -> str:
        try:
            return str(pause_flow_run(timeout=10))
        except FlowPauseTimeout as error:
            return type(error).__name__

    first = run_flow(hasty)
    assert resume(hasty, first.events, timed_out=True).result == "FlowPauseTimeout"
    assert resume(hasty, first.events).result == "None"


def test_a_pause_with_a_key_waits_once():
    @flow
    def twice() -> list[int]:
        return [pause_flow_run(wait_for_input=int, key="go") for _ in range(2)]

    first = run_flow(twice)
    assert last_wait(first).key == "pause:go"
    assert resume(twice, first.events, run_input=3).result == [3, 3]


@dataclass
class Point:
    x: int
    y: int = 0


class Model:
    """What a pydantic model offers."""

    def __init__(self, n: int) -> None:
        self.n = n

    @classmethod
    def model_json_schema(cls, **_: Any) -> dict[str, Any]:
        return {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    @classmethod
    def model_validate(cls, value: Any) -> "Model":
        return cls(int(value["n"]))


class Nested(msgspec.Struct):
    points: list[Point]
    more: "Nested | None" = None


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        (None, {"a": 1}, {"a": 1}),
        (int, 3, 3),
        (str, "x", "x"),
        (list[int], [1], [1]),
        (Point, {"x": 1}, Point(1)),
        (Nested, {"points": [{"x": 1}], "more": {"points": []}}, Nested([Point(1)], Nested([]))),
        (datetime, "2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_input_comes_back_as_the_type_that_was_asked_for(kind, given, expected):
    from jsonschema import Draft202012Validator

    schema = input_schema(kind)
    Draft202012Validator(schema or {}).validate(given)
    assert from_input(given, kind) == expected


def test_pydantic_models_and_run_inputs():
    assert input_schema(Model)["required"] == ["n"]
    assert from_input({"n": 2}, Model).n == 2
    made = Approval.with_initial_data(description="Ship it?", comment="ok", approved=False)
    schema = input_schema(made)
    assert schema["properties"]["comment"]["default"] == "ok"
    assert schema["description"] == "Ship it?"
    assert "required" not in schema or not schema["required"]
    assert from_input({}, made).comment == "ok"
    with pytest.raises(NotSupported, match="no field 'colour'"):
        Approval.with_initial_data(colour="red")


def test_input_that_does_not_fit_fails_the_flow_with_a_sentence():
    @flow
    def typed() -> int:
        return pause_flow_run(wait_for_input=int)

    result = resume(typed, run_flow(typed).events, run_input="x")
    assert isinstance(result.error, ParameterTypeError)


@pytest.mark.parametrize("kind", [5, "int", [int]])
def test_what_is_no_type_cannot_be_waited_for(kind):
    @flow
    def wrong() -> None:
        pause_flow_run(wait_for_input=kind)

    assert isinstance(run_flow(wrong).error, NotSupported)


def test_where_a_pause_is_refused(monkeypatch):
    monkeypatch.setenv("PERFECT_OFFLINE", "1")

    @task
    def pausing() -> None:
        pause_flow_run()

    @flow
    def outer() -> None:
        pausing()

    with pytest.raises(NotSupported, match="not in a task"):
        _ = run_flow(outer).result

    @flow
    def alone() -> None:
        pause_flow_run()

    with pytest.raises(NotSupported, match="perfect up"):
        alone()
    with pytest.raises(MissingContextError):
        pause_flow_run()

    @flow
    def other() -> None:
        suspend_flow_run(flow_run_id="another", key="k")

    assert isinstance(run_flow(other).error, NotSupported)


def test_sleep_elsewhere(monkeypatch):
    monkeypatch.setenv("PERFECT_OFFLINE", "1")

    @task
    def in_task() -> str:
        sleep(0.15)
        return "slept"

    @flow
    def f() -> str:
        sleep(0.15)
        return in_task()

    begin = time.monotonic()
    assert f() == "slept"
    assert time.monotonic() - begin >= 0.3
    sleep(0)

    @flow
    def wrong() -> None:
        sleep(-1)

    assert isinstance(run_flow(wrong).error, InvalidInput)


async def test_the_async_twins():
    @flow
    async def f() -> int:
        await asleep(3600)
        return await apause_flow_run(int)

    result = await run_flow_async(f)
    result = await resume_async(f, result.events)
    assert last_wait(result).key == "pause-0"
    assert (await resume_async(f, result.events, run_input=4)).result == 4


def test_code_that_changed_around_a_wait_is_noticed():
    version = 1

    @flow
    def changing() -> None:
        step("a")
        if version == 2:
            sleep(3600)
        step("b")
        sleep(3600)

    first = run_flow(changing)
    version = 2
    result = resume(changing, first.events)
    assert isinstance(result.error, NonDeterministicFlowError)
    assert (result.error.expected, result.error.actual) == ("step-1", "sleep-0")


def test_deployments_need_a_system(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))

    @flow
    def f() -> None:
        run_deployment("other")

    assert "running system" in str(run_flow(f).error)
    with pytest.raises(NotSupported, match="work_queue_name"):
        run_deployment("other", work_queue_name="q")
    with pytest.raises(Exception, match="perfect up"):
        run_deployment("other")
    with pytest.raises(Exception, match="perfect up"):
        resume_flow_run("00000000-0000-7000-8000-000000000000")


def test_limits_without_a_system_limit_nothing_and_say_so_once():
    @flow
    def f() -> str:
        with concurrency("database"), concurrency(["a", "b"], occupy=2):
            return step("in")

    with pytest.warns(UserWarning, match="limits nothing without a running system") as warned:
        assert run_flow(f).result == "in"
    assert len(warned) == 1
    with pytest.warns(UserWarning, match="inside no run"), concurrency("x"):
        pass


async def test_limits_for_async_code():
    with pytest.warns(UserWarning, match="inside no run"):
        async with concurrency_async("x"):
            pass
    with pytest.warns(UserWarning, match="rate_limit.* limits nothing inside no run"):
        await rate_limit_async("x")


def test_what_limits_refuse():
    with pytest.raises(InvalidInput):
        rate_limit("x", occupy=0)
    for wrong in ({"occupy": 0}, {"occupy": True}):
        with pytest.raises(InvalidInput), concurrency("x", **wrong):
            pass
    with pytest.raises(ConcurrencySlotAcquisitionError), concurrency("x", strict=True):
        pass
    with pytest.raises(ConcurrencySlotAcquisitionError):
        rate_limit("x", strict=True)
    with pytest.raises(InvalidInput), concurrency("x", max_retries=-1):
        pass
    with pytest.raises(InvalidInput), concurrency([""]):
        pass


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


def test_a_deployment_at_a_time_without_a_zone_is_refused():
    with pytest.raises(InvalidInput, match="needs a time zone"):
        run_deployment("etl", scheduled_time=datetime(2999, 1, 1))
