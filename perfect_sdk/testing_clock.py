"""A clock for tests: what takes long takes none of the test's time.

It stands still while code runs. Once everything that runs waits for time to pass (retry delays, `sleep` in a task), it
jumps to the earliest moment that something waits for. With `auto=False` it moves by `advance` alone.
"""

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from perfect_sdk import clock as clock_module

if TYPE_CHECKING:
    from perfect_sdk.stopping import Stop

START = datetime(2026, 1, 1, tzinfo=UTC)
SETTLE_S = 0.003  # real time in which a branch that has just begun gets to its own wait


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
        self._asleep: list[tuple[datetime, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
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
            wakers = [wake for _, _, wake in self._asleep]
        for wake in wakers:
            wake()
        return self._now

    # -- what the SDK calls

    def sleep(self, seconds: float, stop: "Stop") -> None:
        ready = threading.Event()
        mine = self._lie_down(seconds, ready.set)
        stop.add(ready.set)
        try:
            while stop.kind is None and self._now < mine[0]:
                if not ready.wait(self._patience(mine)):
                    self._jump(mine)
                ready.clear()
        finally:
            stop.remove(ready.set)
            self._get_up(mine)
        if stop.kind is not None:
            stop.raise_()

    async def sleep_async(self, seconds: float, stop: "Stop") -> None:
        del stop  # async code is told to stop by a cancellation
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        mine = self._lie_down(seconds, lambda: loop.call_soon_threadsafe(ready.set))
        try:
            while self._now < mine[0]:
                try:
                    async with asyncio.timeout(self._patience(mine)):
                        await ready.wait()
                except TimeoutError:
                    self._jump(mine)
                ready.clear()
        finally:
            self._get_up(mine)

    def _lie_down(self, seconds: float, wake: Callable[[], None]) -> tuple[datetime, int, Callable[[], None]]:
        """Everybody asleep hears of it: whoever would have jumped waits anew."""
        with self._lock:
            mine = (self._now + timedelta(seconds=max(seconds, 0)), next(self._numbers), wake)
            wakers = [other for _, _, other in self._asleep]
            heapq.heappush(self._asleep, mine)
        for other in wakers:
            other()
        return mine

    def _get_up(self, mine: tuple[datetime, int, Callable[[], None]]) -> None:
        with self._lock:
            self._asleep.remove(mine)
            heapq.heapify(self._asleep)
            wakers = [wake for _, _, wake in self._asleep]
        for wake in wakers:
            wake()

    def _patience(self, mine: tuple[datetime, int, Callable[[], None]]) -> float | None:
        """The earliest of all jumps when nothing has happened for a moment; the others wait for it."""
        with self._lock:
            return SETTLE_S if self.auto and self._asleep[0] is mine else None

    def _jump(self, mine: tuple[datetime, int, Callable[[], None]]) -> None:
        with self._lock:
            is_first = self._asleep[0] is mine
        if is_first:
            self.move_to(mine[0])
