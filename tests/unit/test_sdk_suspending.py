"""How the code of a run that waits is unwound, and which waits stand still instead."""

import time

import pytest
from waited import calls, last_wait, step

from perfect_sdk import (
    apause_flow_run,
    asleep,
    flow,
    sleep,
    task,
)
from perfect_sdk.exceptions import (
    InvalidInput,
    NonDeterministicFlowError,
)
from perfect_sdk.recording.journal import FlowSuspended
from perfect_sdk.testing import resume, resume_async, run_flow, run_flow_async
from perfect_sdk.waiting.stopping import Stop


@pytest.fixture(autouse=True)
def _fresh() -> None:
    calls.clear()


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


def test_a_short_sleep_is_not_worth_a_suspension_and_is_not_slept_again(monkeypatch):
    @flow
    def quick() -> str:
        for n in range(5):
            sleep(0.05)
            step(f"{n}")
        return "done"

    result = run_flow(quick)
    assert result.state == "COMPLETED"
    slept: list[float] = []
    monkeypatch.setattr(Stop, "sleep", lambda _, seconds: slept.append(seconds))
    assert resume(quick, result.events[:-1]).result == "done"
    assert [seconds for seconds in slept if seconds > 0] == []


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
