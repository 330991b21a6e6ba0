"""Saying that something has moved, without saying what: a few empty messages, however often it moves."""

import asyncio
import contextlib

from nats.errors import Error as NatsError

from perfect_bus import Bus

EVERY_S = 0.25


class Nudge:
    """`soon()` as often as it moves; an empty message on `subject` (core NATS) at most every `every_s` seconds, the last
    move always followed by one. A timer runs only while a message is due.
    """

    def __init__(self, bus: Bus, subject: str, *, every_s: float = EVERY_S) -> None:
        self._bus = bus
        self._subject = subject
        self._every_s = every_s
        self._timer: asyncio.TimerHandle | None = None
        self._saying: asyncio.Task[None] | None = None

    def soon(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._every_s, self._fire)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        self._timer = None
        self._saying = asyncio.create_task(self._say())

    async def _say(self) -> None:
        with contextlib.suppress(NatsError, OSError):  # nobody is told while the bus is away
            await self._bus.nc.publish(self._subject, b"")
