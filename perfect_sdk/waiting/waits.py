"""Waiting for what takes long: a person's input, a time, another run, a distributed task. A run that waits holds no slot.

It is suspended once nothing else of it is under way. With several branches (`asyncio.gather`, submitted calls, child
runs) the waits are parked until all of them wait; then the run is suspended for all of them together, the innermost
child run first, and resumed by the first that is over. A worker keeps the code in memory for a while: a run that it gets
back in that time goes on where it stands. Otherwise the code is unwound by `FlowSuspended` and called again: what
completed is replayed, and the wait is found in the run's history.

A run that nobody would hand out again (a plain call) waits in its own process instead.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from perfect_schemas.envelope import utc_now
from perfect_schemas.events import AwaitedTasks, OpenWait, RunResumed, RunSuspended
from perfect_schemas.events.run import WaitsFor
from perfect_schemas.folds.history import Wait
from perfect_sdk.calling.keys import is_branch
from perfect_sdk.running.effects import Commit, Future, Sleep, Steps
from perfect_sdk.waiting.floor import Parked
from perfect_sdk.waiting.resting import rest

if TYPE_CHECKING:
    from perfect_sdk.context import Frame
    from perfect_sdk.running.session import RunSession

SHORT_S = 0.1  # a sleep that is not worth a hand-over
SETTLE_S = 0.02  # branches that were just made get to their own waits


class Turn:
    """Effect: until it is the parked wait's turn to suspend the run (True), or it is over: its time has come, or the run
    was resumed from it (False). Raises when the run is to stop.
    """

    __slots__ = ("frame", "parked")

    def __init__(self, frame: "Frame", parked: Parked) -> None:
        self.frame = frame
        self.parked = parked

    def run(self) -> bool:
        ready = threading.Event()
        stop, floor = self.frame.session.stop, self.frame.session.floor
        self._begin(ready.set)
        is_woken = False
        try:
            while (turn := self._turn()) is None:
                if is_woken:
                    stop.sleep(SETTLE_S)
                    is_woken = ready.is_set()
                if not is_woken:
                    floor.settled(self.parked)
                    is_woken = ready.wait(self._left())
                ready.clear()
            return turn
        finally:
            stop.remove(ready.set)

    async def run_async(self) -> bool:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        stop, floor = self.frame.session.stop, self.frame.session.floor

        def wake() -> None:
            loop.call_soon_threadsafe(ready.set)

        self._begin(wake)
        is_woken = _has_branches(self.frame)
        try:
            while (turn := self._turn()) is None:
                if is_woken:
                    await asyncio.sleep(SETTLE_S)
                    is_woken = ready.is_set()
                if not is_woken:
                    floor.settled(self.parked)
                    is_woken = await _set_within(ready, self._left())
                ready.clear()
        except asyncio.CancelledError:
            if stop.kind != "suspend":
                raise
            stop.raise_()
            raise
        else:
            return turn
        finally:
            stop.remove(wake)

    def _begin(self, wake: Callable[[], None]) -> None:
        session = self.frame.session
        self.parked.wake = wake
        session.floor.park(self.parked)
        session.stop.add(wake)

    def _left(self) -> float | None:
        wake_at = self.parked.wake_at
        if wake_at is None or not self.frame.session.floor.has_clock(self.parked):
            return None
        return max((wake_at - utc_now()).total_seconds(), 0)

    def _turn(self) -> bool | None:
        stop = self.frame.session.stop
        if stop.kind is not None:
            stop.raise_()
        return self.frame.session.floor.turn_of(self.parked)


async def _set_within(ready: asyncio.Event, seconds: float | None) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await ready.wait()
    except TimeoutError:
        return False


def _has_branches(frame: "Frame") -> bool:
    return is_branch(frame.scope.path) or frame.scope.has_branches


def suspend(
    frame: "Frame",
    key: str,
    waits_for: WaitsFor,
    *,
    wake_at: datetime | None = None,
    input_schema: dict[str, Any] | None = None,
) -> Steps[None]:
    """Give the run back until the wait is over; returns when it is, or when `wake_at` has come before.

    Where the code cannot stay in memory for so long, FlowSuspended is raised instead, and the code called again.
    """
    yield from give_back(Parked(frame, key, waits_for, wake_at, input_schema))


def give_back(parked: Parked) -> Steps[None]:
    """`suspend`, for a wait of any kind."""
    frame, session = parked.frame, parked.session
    try:
        while (yield Turn(frame, parked)):
            if session.is_pausing:
                parked.is_chosen = False
                yield from stand_still(frame)
            beside = _beside(session, parked)
            tasks = _awaited(session, parked, *beside)
            if any(one.has_news for one in (parked, *beside)):  # asked last: what came before is `seen`
                parked.is_chosen = False
                continue
            event = session.event(
                RunSuspended,
                waits_for=parked.waits_for,
                key=parked.key,
                wake_at=parked.wake_at,
                input_schema=parked.input_schema,
                beside=[_as_said(one) for one in _one_for_all_tasks(parked, beside)],
                tasks=tasks,
            )
            yield Commit(session, event)
            if not rest(session, parked, beside):
                session.stop.suspend()
                session.stop.raise_()
    finally:
        session.floor.leave(parked)


def _beside(session: "RunSession", chosen: Parked) -> list[Parked]:
    """The other waits of this run: whichever is over first resumes it."""
    return [
        one
        for one in session.floor.parked
        if one is not chosen and one.session is session and not one.is_held
    ]


def _one_for_all_tasks(chosen: Parked, beside: list[Parked]) -> Iterable[Parked]:
    is_said = chosen.waits_for == "task"
    for one in beside:
        if one.waits_for != "task" or not is_said:
            yield one
        is_said = is_said or one.waits_for == "task"


def _awaited(session: "RunSession", *parked: Parked) -> AwaitedTasks | None:
    after = [one.after for one in parked if one.waits_for == "task"]
    dispatcher = session.journal.dispatcher if after else None
    if dispatcher is None:
        return None
    return AwaitedTasks(count=len(after), after=min(after), seen=dispatcher.seen)


def _as_said(parked: Parked) -> OpenWait:
    return OpenWait(
        key=parked.key,
        waits_for=parked.waits_for,
        wake_at=parked.wake_at,
        input_schema=parked.input_schema,
    )


def clocks(session: "RunSession", chosen: Parked) -> dict[str, datetime]:
    """When the other waits of this run will be over, which do not resume it: their clocks go on."""
    return {one.key: one.wake_at for one in _beside(session, chosen) if one.wake_at is not None}


def stand_still(frame: "Frame") -> Steps[None]:
    """As long as somebody pauses the run from outside."""
    if frame.session.is_pausing:
        from perfect_sdk.waiting.holding import hold

        yield from hold(frame)


def sleep(frame: "Frame", seconds: float) -> Steps[None]:
    """In a flow's body durable, in a task a part of its work."""
    frame.check()
    session = frame.session
    if frame.call is not None:
        yield Sleep(session, seconds, frame.call)
        return
    place = frame.scope.take("sleep")
    session.expect_no_task(place)
    known = session.waits.get(place.key)
    if (known is not None and known.is_over) or session.is_past(place):
        return
    wake_at = known.wake_at if known is not None else None
    if wake_at is None:
        wake_at = utc_now() + timedelta(seconds=seconds)
    left = (wake_at - utc_now()).total_seconds()
    if left > SHORT_S and session.run.suspends:
        yield from suspend(frame, place.key, "sleep", wake_at=wake_at)
    else:
        yield from stand_still(frame)
        yield Sleep(session, left)
    session.wait_is_over(Wait(key=place.key, waits_for="sleep", seq=0, wake_at=wake_at))


def pause(
    frame: "Frame", key: str, *, timeout: float | None, input_schema: dict[str, Any] | None
) -> Steps[Wait]:
    """Until somebody resumes the run: the wait as it is then, or timed out."""
    session = frame.session
    known = session.waits.get(key)
    if known is not None and known.is_over:
        return known
    wake_at = known.wake_at if known is not None else None
    if wake_at is None and timeout is not None:
        wake_at = utc_now() + timedelta(seconds=timeout)
    wait = Wait(key=key, waits_for="input", seq=0, wake_at=wake_at)
    if wake_at is not None and wake_at <= utc_now():
        return session.wait_is_over(wait, timed_out=True)
    if session.run.suspends:
        yield from suspend(frame, key, "input", wake_at=wake_at, input_schema=input_schema)
        known = session.waits.get(key)
        if known is not None and known.is_over:
            return known
        return session.wait_is_over(wait, timed_out=True)
    yield from stand_still(frame)
    return (yield from _pause_here(session, wait, input_schema))


def _pause_here(session: "RunSession", wait: Wait, input_schema: dict[str, Any] | None) -> Steps[Wait]:
    """The process stays: it hears itself that the run is resumed, and claims its next epoch."""
    yield Commit(
        session,
        session.event(
            RunSuspended, waits_for="input", key=wait.key, wake_at=wait.wake_at, input_schema=input_schema
        ),
    )
    resumed: RunResumed = yield Future(session, session.journal.until_resumed())
    yield from session.next_epoch()
    timed_out = resumed.input is None and wait.wake_at is not None and resumed.at >= wait.wake_at
    return session.wait_is_over(wait, value=resumed.input, timed_out=timed_out)


def until_final(frame: "Frame", run_id: str, wake_at: datetime | None) -> Steps[Any]:
    """The life of the run `run_id` once it has ended, or as it is at `wake_at`. None when there is no such run."""
    session = frame.session
    life = yield Future(session, session.journal.life(run_id))
    if life is None or life.state.is_final or (wake_at is not None and wake_at <= utc_now()):
        return life
    if session.run.suspends:
        yield from suspend(frame, run_id, "child", wake_at=wake_at)
    else:
        yield from stand_still(frame)
        deadline = None if wake_at is None else time.monotonic() + (wake_at - utc_now()).total_seconds()
        try:
            return (yield Future(session, session.journal.until_final(run_id), deadline))
        except TimeoutError:
            pass
    return (yield Future(session, session.journal.life(run_id)))
