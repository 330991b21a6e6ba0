"""Waiting for what takes long: a person's input, a time, another run. A run that waits holds no slot.

Its code is unwound by `FlowSuspended` once nothing else of it is under way, and called again when the wait is over:
what completed is replayed, and the wait is found in the run's history. With several branches (`asyncio.gather`,
submitted calls, child runs) the waits are parked until all of them wait; then the run is suspended for one of them, the
innermost child's first.

A run that nobody would hand out again (a plain call) waits in its own process instead.
"""

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from perfect_schemas.envelope import utc_now
from perfect_schemas.events import RunResumed, RunSuspended
from perfect_schemas.folds.history import Wait
from perfect_sdk.effects import Commit, Future, Sleep, Steps
from perfect_sdk.keys import is_branch

if TYPE_CHECKING:
    from perfect_sdk.context import Frame
    from perfect_sdk.execution import Call
    from perfect_sdk.session import RunSession

SHORT_S = 0.1  # a sleep that is not worth a hand-over
SETTLE_S = 0.02  # branches that were just made get to their own waits
_NEVER = datetime.max.replace(tzinfo=UTC)
_ORDER = {"sleep": 0, "input": 1, "child": 2}


class Parked:
    """A wait that is ready for the suspension of its run. is_chosen: it is the one to suspend it."""

    __slots__ = ("calls", "is_chosen", "key", "rank", "wake", "wake_at")

    def __init__(self, frame: "Frame", key: str, waits_for: str, wake_at: datetime | None) -> None:
        self.key = key
        self.wake_at = wake_at
        self.calls = set(around(frame))
        self.rank = (-_depth(frame), wake_at or _NEVER, _ORDER.get(waits_for, 3))
        self.is_chosen = False
        self.wake: Callable[[], None] = lambda: None


class Floor:
    """What is under way in a run and its inline child runs: calls that are open, and waits that are parked.

    A call that waits for the results of others is not under way: what they wait for, it waits for.
    """

    __slots__ = ("_lock", "_open", "_waiting", "parked")

    def __init__(self) -> None:
        self.parked: list[Parked] = []
        self._open: dict[Call, int] = {}  # a submitted call is opened twice: until its future is done, too
        self._waiting: list[tuple[set[Call], list[concurrent.futures.Future[Any]]]] = []
        self._lock = threading.Lock()

    def opened(self, call: "Call") -> None:
        self._open[call] = self._open.get(call, 0) + 1

    def closed(self, call: "Call") -> None:
        left = self._open.get(call, 0) - 1
        if left > 0:
            self._open[call] = left
        else:
            self._open.pop(call, None)
        if self.parked:
            self._choose()

    @contextmanager
    def awaiting(
        self, calls: "Iterable[Call]", futures: "list[concurrent.futures.Future[Any]]"
    ) -> "Iterator[None]":
        """While inside, these calls wait for the futures."""
        entry = (set(calls), futures)
        with self._lock:
            self._waiting.append(entry)
        if self.parked:
            self._choose()
        try:
            yield
        finally:
            with self._lock:
                self._waiting.remove(entry)

    def park(self, parked: Parked) -> None:
        with self._lock:
            self.parked.append(parked)
        self._choose()

    def leave(self, parked: Parked) -> None:
        with self._lock:
            if parked in self.parked:
                self.parked.remove(parked)

    def _choose(self) -> None:
        """Nothing but waits is left: the next one's turn."""
        with self._lock:
            parked = self.parked
            if not parked or any(one.is_chosen for one in parked):
                return
            waiting: set[Call] = set().union(*(one.calls for one in parked))
            for calls, futures in self._waiting:
                if not all(future.done() for future in futures):
                    waiting |= calls
            if any(call not in waiting for call in list(self._open)):
                return
            chosen = min(parked, key=lambda one: one.rank)
            chosen.is_chosen = True
        chosen.wake()


def around(frame: "Frame | None") -> "Iterator[Call]":
    """The calls that the code in `frame` is inside of, through child runs up to the outermost flow."""
    while frame is not None:
        if frame.call is not None:
            yield frame.call
            frame = frame.call.frame
        else:
            frame = frame.session.caller


def _depth(frame: "Frame") -> int:
    """How many runs are around it."""
    depth, caller = 0, frame.session.caller
    while caller is not None:
        depth, caller = depth + 1, caller.session.caller
    return depth


class Turn:
    """Effect: until it is the parked wait's turn (True), or its time has come (False). Raises when the run is to stop."""

    __slots__ = ("frame", "parked")

    def __init__(self, frame: "Frame", parked: Parked) -> None:
        self.frame = frame
        self.parked = parked

    def run(self) -> bool:
        ready = threading.Event()
        self._begin(ready.set)
        try:
            ready.wait(self._left())
        finally:
            self.frame.session.stop.remove(ready.set)
        return self._result()

    async def run_async(self) -> bool:
        if _has_branches(self.frame):
            await asyncio.sleep(SETTLE_S)
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(ready.set)

        self._begin(wake)
        try:
            async with asyncio.timeout(self._left()):
                await ready.wait()
        except TimeoutError:
            pass
        finally:
            self.frame.session.stop.remove(wake)
        return self._result()

    def _begin(self, wake: Callable[[], None]) -> None:
        session = self.frame.session
        self.parked.wake = wake
        session.stop.add(wake)
        session.floor.park(self.parked)

    def _left(self) -> float | None:
        wake_at = self.parked.wake_at
        return None if wake_at is None else max((wake_at - utc_now()).total_seconds(), 0)

    def _result(self) -> bool:
        stop = self.frame.session.stop
        if stop.kind is not None:
            stop.raise_()
        return self.parked.is_chosen


def _has_branches(frame: "Frame") -> bool:
    return is_branch(frame.scope.path) or frame.scope.has_branches


def suspend(
    frame: "Frame",
    key: str,
    waits_for: Literal["input", "sleep", "child"],
    *,
    wake_at: datetime | None = None,
    input_schema: dict[str, Any] | None = None,
) -> Steps[None]:
    """Give the run back until the wait is over. Returns only when `wake_at` comes first, else raises FlowSuspended."""
    session = frame.session
    parked = Parked(frame, key, waits_for, wake_at)
    try:
        if not (yield Turn(frame, parked)):
            return
        event = session.event(
            RunSuspended,
            waits_for=waits_for,
            key=key,
            wake_at=wake_at,
            input_schema=input_schema,
            pending=_pending(session, parked),
        )
        yield Commit(session, event)
        session.stop.suspend()
    finally:
        session.floor.leave(parked)
    session.stop.raise_()


def _pending(session: "RunSession", chosen: Parked) -> dict[str, datetime]:
    """When the other waits of this run will be over: their clocks go on."""
    depth = chosen.rank[0]
    return {
        one.key: one.wake_at
        for one in session.floor.parked
        if one is not chosen and one.wake_at is not None and one.rank[0] == depth
    }


def sleep(frame: "Frame", seconds: float) -> Steps[None]:
    """In a flow's body durable, in a task a part of its work."""
    frame.check()
    session = frame.session
    if frame.call is not None:
        yield Sleep(session, seconds)
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
        return session.wait_is_over(wait, timed_out=True)
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
        deadline = None if wake_at is None else time.monotonic() + (wake_at - utc_now()).total_seconds()
        try:
            return (yield Future(session, session.journal.until_final(run_id), deadline))
        except TimeoutError:
            pass
    return (yield Future(session, session.journal.life(run_id)))
