"""Saying how far the read model is, after commits: at once when it was quiet, then every fifth of a second at most."""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from nats.errors import Error as NatsError

from perfect_schemas import codec, subjects
from perfect_schemas.commands import ReadPosition

if TYPE_CHECKING:
    from perfect_bus import Bus

EVERY_S = 0.2


class Teller:
    def __init__(self, bus: "Bus", *, every_s: float = EVERY_S) -> None:
        self._bus = bus
        self._every_s = every_s
        self._events = self._said = 0
        self._next = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._saying: asyncio.Task[None] | None = None

    def committed(self, events: int) -> None:
        """Up to the sequence `events` on EVENTS."""
        self._events = events
        if self._timer is None and events != self._said:
            delay = max(self._next - time.monotonic(), 0.0)
            self._timer = asyncio.get_running_loop().call_later(delay, self._say)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._saying is not None:
            self._saying.cancel()

    def _say(self) -> None:
        self._timer = None
        self._said = self._events
        self._next = time.monotonic() + self._every_s
        self._saying = asyncio.get_running_loop().create_task(self._publish(ReadPosition(events=self._said)))

    async def _publish(self, position: ReadPosition) -> None:
        with contextlib.suppress(NatsError):  # the connection is away: what is committed next says it again
            await self._bus.nc.publish(subjects.read_position(), codec.encode(position))
