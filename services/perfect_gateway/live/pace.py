"""Pacing: however often a thing changes, it is drawn at most once an interval, and its last change is always drawn."""

import asyncio
from collections.abc import Callable, Hashable

GATHER_S = 0.01  # a first change waits this long for the others of its burst
SWEEP = 1024


class Pace:
    """Pure: when a key may be drawn next. Times in seconds on any one clock."""

    def __init__(self) -> None:
        self._last: dict[Hashable, float] = {}

    def delay(self, key: Hashable, interval: float, now: float) -> float:
        """How long to wait before `key` is drawn."""
        last = self._last.get(key)
        return GATHER_S if last is None else max(last + interval - now, GATHER_S)

    def drawn(self, key: Hashable, now: float) -> None:
        self._last[key] = now
        if len(self._last) > SWEEP:
            recent = now - 10
            self._last = {key: at for key, at in self._last.items() if at > recent}


class Pacer:
    """Calls `draw(key)` after `ask(key, interval)`, once for all the asking in between."""

    def __init__(self, draw: Callable[[Hashable], None]) -> None:
        self._draw = draw
        self._pace = Pace()
        self._timers: dict[Hashable, asyncio.TimerHandle] = {}

    def ask(self, key: Hashable, interval: float) -> None:
        if key in self._timers:
            return
        loop = asyncio.get_running_loop()
        self._timers[key] = loop.call_later(self._pace.delay(key, interval, loop.time()), self._fire, key)

    def drop(self, key: Hashable) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _fire(self, key: Hashable) -> None:
        del self._timers[key]
        self._pace.drawn(key, asyncio.get_running_loop().time())
        self._draw(key)
