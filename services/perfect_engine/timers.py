"""Waking at a run's due time, at the end of its sleep, or at a schedule's next instant: one `@at` message each on the
stream TIMERS, which fires after a restart too.

The time itself follows from the run's life (`revival.due_of`) or the schedule; a timer only says "look now". One that is missed or comes twice does no harm.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from perfect_bus import Bus
from perfect_bus.outbox import Ack
from perfect_runtime.service import Context
from perfect_schemas import ids, streams
from perfect_schemas.errors import BusUnavailable

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.follow import Following

STREAM = streams.TIMERS.name
PURGE_AFTER = 1000
NEAR_S = 60.0  # for such times the own clock wakes, too: the server's timers are up to 250 ms late


def subject(kind: str, of: str) -> str:
    return f"perfect.timer.{kind}.{of}"


def tick(kind: str) -> str:
    return f"perfect.tick.{kind}"


class Timers:
    """due(id) is called, on the event loop, when the time of that run (or of what else `kind` names) has come."""

    def __init__(self, context: Context, due: Callable[[str], None], kind: str = "run") -> None:
        self._kind = kind
        self._tick_subject = tick(kind)
        self._context = context
        self._bus: Bus = context.bus
        self._due = due
        self._armed: dict[str, datetime] = {}
        self._stored: dict[str, int] = {}  # run id → sequence of its timer on the stream
        self._early: dict[str, asyncio.TimerHandle] = {}
        self._heard = 0
        self._following: Following | None = None

    async def start(self) -> None:
        """Ticks from before this moment are not heard: whoever starts looks at all due times itself."""
        info = await self._bus.js.stream_info(STREAM)
        last = info.state.last_seq

        async def heard(msg: "Msg", seq: int) -> None:
            self._tick(msg.data.decode())
            self._heard += 1
            if self._heard >= PURGE_AFTER:
                self._heard = 0
                self._context.spawn(self._purge(seq + 1), "purge of ticks")

        self._following = await self._bus.follow(STREAM, heard, after=last, subject=self._tick_subject)
        if last:
            self._context.spawn(self._purge(last + 1), "purge of ticks")

    async def stop(self) -> None:
        for timer in self._early.values():
            timer.cancel()
        if self._following is not None:
            await self._following.unsubscribe()

    def arm(self, run_id: str, due_at: datetime) -> None:
        if self._armed.get(run_id) == due_at:
            return
        self._armed[run_id] = due_at
        self._cancel_early(run_id)

        def stored(answer: Ack | BusUnavailable) -> None:
            if isinstance(answer, Ack) and answer.error is None and run_id in self._armed:
                self._stored[run_id] = answer.seq

        self._bus.outbox.put(
            subject(self._kind, run_id),
            run_id.encode(),
            ids.uuid7(),
            headers={
                "Nats-Schedule": f"@at {due_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
                "Nats-Schedule-Target": self._tick_subject,
            },
            done=stored,
        )
        left = (due_at - self._context.clock()).total_seconds()
        if left <= NEAR_S:
            self._early[run_id] = asyncio.get_running_loop().call_later(max(left, 0), self._tick, run_id)

    def disarm(self, run_id: str) -> None:
        """For a run that is not waiting for its time any more. Never a timer that is armed after this."""
        if self._armed.pop(run_id, None) is not None:
            self._cancel_early(run_id)
            if (seq := self._stored.pop(run_id, None)) is not None:
                self._context.spawn(self._purge_subject(subject(self._kind, run_id), seq + 1), "disarm")

    def _tick(self, run_id: str) -> None:
        due_at = self._armed.get(run_id)
        if due_at is None:  # armed before the last start, or by another engine
            self._due(run_id)
            return
        left = (due_at - self._context.clock()).total_seconds()
        if left > 0:  # the server's clock is ahead of ours
            self._cancel_early(run_id)
            self._early[run_id] = asyncio.get_running_loop().call_later(left, self._tick, run_id)
            return
        del self._armed[run_id]
        self._stored.pop(run_id, None)
        self._cancel_early(run_id)
        self._due(run_id)

    def _cancel_early(self, run_id: str) -> None:
        if (early := self._early.pop(run_id, None)) is not None:
            early.cancel()

    async def _purge(self, before: int) -> None:
        await self._purge_subject(self._tick_subject, before)

    async def _purge_subject(self, name: str, before: int) -> None:
        try:
            await self._bus.js.purge_stream(STREAM, seq=before, subject=name)
        except Exception as error:  # a tick too many does no harm
            self._context.log.debug("timers were not purged", subject=name, error=repr(error))
