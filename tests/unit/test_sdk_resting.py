"""Code that stays in memory while its run waits: what lets it go on, and what has it unwound."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from perfect_schemas import events as e
from perfect_schemas import ids
from perfect_schemas.envelope import utc_now
from perfect_sdk import flow, pause_flow_run, sleep, task
from perfect_sdk.running.session import RunSession
from perfect_sdk.runs import Outcome
from perfect_sdk.testing import _begin
from perfect_sdk.waiting import resting

seen: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    seen.clear()


@task
async def mark(text: str) -> str:
    seen.append(text)
    return text


class Run:
    """A run of an async flow whose code is kept whenever it is suspended, in the place of executor and engine."""

    def __init__(self, which: Any, *, keeps: bool = True) -> None:
        self.session: RunSession = _begin(which, {}, "development")
        self.rests = asyncio.Event()
        loop = asyncio.get_running_loop()
        if keeps:
            self.session.keeper = lambda: loop.call_soon_threadsafe(self.rests.set)
        self.code = asyncio.create_task(self.session.execute_async())

    async def resting(self) -> None:
        await asyncio.wait(
            {asyncio.ensure_future(self.rests.wait()), self.code}, return_when="FIRST_COMPLETED"
        )
        assert self.rests.is_set(), self.code.result()
        self.rests.clear()

    def say(self, kind: type[Any], **fields: Any) -> None:
        journal: Any = self.session.journal
        journal.commit(
            kind(id=ids.uuid7(), at=utc_now(), source="engine", run_id=self.session.run.run_id, **fields)
        )

    def go_on(self, key: str, given: Any = None, *, prepare: Callable[[], None] = lambda: None) -> bool:
        self.say(e.RunResumed, key=key, input=given)
        self.say(e.RunQueued)
        return self.claim(prepare)

    def claim(self, prepare: Callable[[], None] = lambda: None) -> bool:
        epoch = self.history.run.epoch + 1
        self.say(e.RunStarted, epoch=epoch, client_id="c")
        run = msgspec.structs.replace(self.session.run, epoch=epoch)
        return resting.go_on(self.session, run, self.history, prepare)

    @property
    def history(self) -> Any:
        return self.session.journal.history()

    @property
    def waits(self) -> list[str]:
        run = self.history.run
        return [run.wait_key, *(wait.key for wait in run.beside)] if run.state == "PAUSED" else []

    async def outcome(self) -> Outcome:
        return await asyncio.wait_for(self.code, 60)


@flow
async def three_branches() -> list[Any]:
    async def branch(n: int) -> Any:
        given = await pause_flow_run(wait_for_input=int, key=f"{n}")
        await mark(f"{n} given {given}")
        return given

    try:
        return await asyncio.gather(*(branch(n) for n in range(3)))
    finally:
        seen.append("finally")


@flow
async def sleeps() -> str:
    try:
        await sleep(3600)
    finally:
        seen.append("finally")
    return await mark("slept")


async def test_only_what_is_over_goes_on_and_the_rest_waits_again() -> None:
    run = Run(three_branches)
    for n, waits in ((1, {"pause:0", "pause:1", "pause:2"}), (2, {"pause:0", "pause:2"}), (0, {"pause:0"})):
        await run.resting()
        assert set(run.waits) == waits
        assert run.go_on(f"pause:{n}", n * 10)
    outcome = await run.outcome()
    assert (outcome.state, outcome.value) == ("completed", [0, 10, 20])
    assert seen == ["1 given 10", "2 given 20", "0 given 0", "finally"]
    completed = [event.epoch for event in run.session.journal.events if event.type == "task.completed"]
    assert completed == [2, 3, 4]


async def test_the_new_claim_is_made_before_anything_goes_on() -> None:
    run = Run(sleeps)
    await run.resting()
    order: list[str] = []
    assert run.go_on("sleep-0", prepare=lambda: order.append(f"claimed, {len(seen)} seen"))
    assert (await run.outcome()).state == "completed"
    assert order == ["claimed, 0 seen"]
    assert seen == ["finally", "slept"]


async def test_the_time_in_which_it_rested_is_not_counted() -> None:
    run = Run(sleeps)
    await run.resting()
    began = time.perf_counter()
    while time.perf_counter() - began < 0.05:
        await asyncio.sleep(0)  # time passes
    began = time.perf_counter()
    assert run.go_on("sleep-0")
    await run.outcome()
    took_ms = (time.perf_counter() - began) * 1000
    [end] = [event for event in run.session.journal.events if event.type == "run.completed"]
    assert end.duration_ms <= took_ms


async def test_unwound_code_is_suspended_and_never_goes_on() -> None:
    run = Run(sleeps)
    await run.resting()
    resting.unwind(run.session)
    resting.unwind(run.session)
    assert not run.go_on("sleep-0")
    assert (await run.outcome()).state == "suspended"
    assert seen == ["finally"]
    assert [event.type for event in run.session.journal.events][-3:] == [
        "run.resumed",
        "run.queued",
        "run.started",
    ]


async def test_abandoned_code_writes_nothing() -> None:
    run = Run(sleeps)
    await run.resting()
    run.session.abandon()
    assert (await run.outcome()).state == "superseded"
    assert run.waits == ["sleep-0"]


async def test_without_a_keeper_it_is_unwound_at_once() -> None:
    assert (await Run(sleeps, keeps=False).outcome()).state == "suspended"
    assert seen == ["finally"]


@pytest.mark.parametrize("then", ["returns", "calls", "waits"])
async def test_code_that_goes_on_by_itself_is_unwound(then: str) -> None:
    @flow
    async def impatient() -> str:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sleep(3600), 0.1)
        seen.append("timed out")
        if then == "calls":
            await mark("never")
        if then == "waits":
            await sleep(3600)
        return "over"

    run = Run(impatient)
    await run.resting()
    assert (await run.outcome()).state == "suspended"
    assert not run.go_on("sleep-0")
    assert seen == ["timed out"]
    assert not [event for event in run.session.journal.events if event.type.startswith("task.")]


async def test_a_run_that_was_retried_meanwhile_is_replayed() -> None:
    run = Run(sleeps)
    await run.resting()
    run.say(e.RunCancelled)
    run.say(e.RunRetried, by="ann")
    run.say(e.RunQueued)
    assert not run.claim()
    run.session.abandon()
    assert (await run.outcome()).state == "superseded"


async def test_a_run_that_somebody_else_had_meanwhile_is_replayed() -> None:
    run = Run(sleeps)
    await run.resting()
    run.say(e.RunResumed)
    run.say(e.RunQueued)
    run.say(e.RunStarted, epoch=2, client_id="other")
    run.say(e.RunSuspended, epoch=2, waits_for="input", key="pause-0")
    assert not run.go_on("pause-0")
    run.session.abandon()
    assert (await run.outcome()).state == "superseded"


async def test_a_wait_whose_time_came_while_another_was_over_is_over_too() -> None:
    @flow
    async def both() -> list[Any]:
        return await asyncio.gather(sleep(0.15), pause_flow_run(wait_for_input=int))

    run = Run(both)
    await run.resting()
    assert len(run.waits) == 2
    [asleep] = [wait.wake_at for wait in run.history.waits.values() if wait.waits_for == "sleep"]
    while utc_now() < asleep:
        await asyncio.sleep(0.01)  # by the clock that the wait itself asks
    asked = next(key for key in run.waits if "pause" in key)
    assert run.go_on(asked, 5)
    assert (await run.outcome()).value == [None, 5]
    assert run.history.run.epoch == 2


async def test_code_under_a_timeout_is_not_kept() -> None:
    @flow(timeout_seconds=60)
    async def timed() -> None:
        await sleep(3600)

    run = Run(timed)
    assert (await run.outcome()).state == "suspended"
    assert not run.rests.is_set()
