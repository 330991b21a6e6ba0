"""A clock for tests: what takes long takes none of the test's time.

It stands still while code runs. Once everything that runs waits for time to pass (retry delays, `sleep` in a task), it
jumps to the earliest moment that something waits for. With `auto=False` it moves by `advance` alone.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from perfect_sdk.running import clock as clock_module
from perfect_sdk.waiting.floor import Open, around, inside

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.running.session import RunSession

START = datetime(2026, 1, 1, tzinfo=UTC)
SETTLE_S = 0.003  # real time: branches that are not known to the SDK get to their own waits
BUSY_S = (
    0.05  # the same while something is under way: what takes longer may see a later time than it would have
)


class Clock:
    """In use within `with clock:`, which `run_flow(…, clock=clock)` does by itself.

    start: what time it is at first, with a zone. Thread-safe.
    """

    def __init__(self, start: datetime = START, *, auto: bool = True) -> None:
        if start.tzinfo is None:
            raise ValueError(f"Clock({start!r}) needs a time zone: datetime(…, tzinfo=UTC)")
        self.auto = auto
        self._now = start.astimezone(UTC)
        self._lock = threading.Lock()
        self._asleep: list[Sleeper] = []
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        self._before.append(clock_module.take(self))
        return self

    def __exit__(self, *_: object) -> None:
        clock_module.take(self._before.pop())

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float | timedelta) -> datetime:
        """Let so much time pass. Returns what time it is then."""
        delta = seconds if isinstance(seconds, timedelta) else timedelta(seconds=seconds)
        return self.move_to(self._now + delta)

    def move_to(self, instant: datetime) -> datetime:
        """Never backwards."""
        with self._lock:
            self._now = max(self._now, instant)
            asleep = list(self._asleep)
        for one in asleep:
            one.wake()
        return self._now

    # -- what the SDK calls

    def sleep(self, seconds: float, session: "RunSession", call: "Call | None") -> None:
        ready, stop = threading.Event(), session.stop
        mine = self._lie_down(Sleeper(self._now + _span(seconds), session, call, ready.set))
        stop.add(ready.set)
        try:
            while stop.kind is None and self._now < mine.until:
                if not ready.wait(self._patience(mine)):
                    self._jump(mine)
                else:
                    mine.since = time.monotonic()
                ready.clear()
        finally:
            stop.remove(ready.set)
            self._get_up(mine)
        if stop.kind is not None:
            stop.raise_()

    async def sleep_async(self, seconds: float, session: "RunSession", call: "Call | None") -> None:
        loop = asyncio.get_running_loop()
        ready, stop = asyncio.Event(), session.stop

        def wake() -> None:
            loop.call_soon_threadsafe(ready.set)

        mine = self._lie_down(Sleeper(self._now + _span(seconds), session, call, wake))
        try:
            while self._now < mine.until:
                try:
                    async with asyncio.timeout(self._patience(mine)):
                        await ready.wait()
                        mine.since = time.monotonic()
                except TimeoutError:
                    self._jump(mine)
                ready.clear()
        finally:
            self._get_up(mine)
        if stop.kind is not None:
            stop.raise_()

    def _lie_down(self, mine: "Sleeper") -> "Sleeper":
        """Everybody asleep hears of it: whoever would have jumped looks again."""
        with self._lock:
            before = list(self._asleep)
            self._asleep.append(mine)
        for one in before:
            one.wake()
        return mine

    def _get_up(self, mine: "Sleeper") -> None:
        with self._lock:
            self._asleep.remove(mine)
            left = list(self._asleep)
        for one in left:
            one.wake()

    def _patience(self, mine: "Sleeper") -> float | None:
        """How long the first of those who sleep waits before it looks whether to jump; the others wait for it."""
        with self._lock:
            return SETTLE_S if self.auto and _first(self._asleep) is mine else None

    def _jump(self, mine: "Sleeper") -> None:
        """To its own instant, unless it is not the first any more, or something is under way that may yet lie down."""
        with self._lock:
            asleep = list(self._asleep)
        if _first(asleep) is not mine:
            return
        if time.monotonic() - mine.since >= BUSY_S or not _is_busy_beside(asleep):
            self.move_to(mine.until)


class Sleeper:
    """Code that waits until an instant. wake: from any thread. since: when it last heard of a change, monotonic."""

    __slots__ = ("call", "session", "since", "until", "wake")

    def __init__(
        self, until: datetime, session: "RunSession", call: "Call | None", wake: Callable[[], None]
    ) -> None:
        self.until = until
        self.session = session
        self.call = call
        self.wake = wake
        self.since = time.monotonic()

    def inside(self) -> "Iterator[Open]":
        """The code that sleeps, and what waits for it."""
        if self.call is not None:
            yield from inside(self.call)
        else:
            yield self.session.code
            yield from around(self.session.caller)


def _first(asleep: list[Sleeper]) -> Sleeper:
    """Of equals the one that lay down first."""
    return min(asleep, key=lambda one: one.until)


def _is_busy_beside(asleep: list[Sleeper]) -> bool:
    """The code of an async flow does not count: what is ready on its loop runs before any timer."""
    covered = {call for one in asleep for call in one.inside()}
    covered |= {one.session.code for one in asleep if one.session.flow.is_async}
    return any(one.session.floor.is_busy_beside(covered) for one in asleep)


def _span(seconds: float) -> timedelta:
    return timedelta(seconds=max(seconds, 0))
