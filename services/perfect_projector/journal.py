"""What the streams bring: gathered from where the file is, in the order of each stream, bounded.

DEFS comes first: the definitions that stood on it when we started are handed out before any run. While the buffer
is full the callbacks wait, and with them the server (flow control).
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_projector.batch import Message
from perfect_projector.under_way import UnderWay

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus import Bus

STREAMS = ("DEFS", "EVENTS", "LOGS")
MAX_MESSAGES = 20_000
MAX_BYTES = 64 * 1024 * 1024
BATCH_BYTES = 4 * 1024 * 1024
BEHIND_FACTOR = 5


class StreamState(msgspec.Struct, frozen=True):
    created: datetime
    first_seq: int
    last_seq: int
    messages: int


async def stream_state(bus: "Bus", stream: str) -> StreamState:
    info = await bus.js.stream_info(stream)
    state = info.state
    return StreamState(_created(info), state.first_seq, state.last_seq, state.messages)


def _created(info: Any) -> datetime:
    created = info.created
    return created if isinstance(created, datetime) else datetime.fromisoformat(created)


class Journal:
    """`positions`: stream → last sequence that is in the file. Messages up to it are dropped when they come again."""

    def __init__(self, bus: "Bus", positions: dict[str, int]) -> None:
        self._bus = bus
        self._seen = dict(positions)
        self._waiting: dict[str, deque[Message]] = {stream: deque() for stream in STREAMS}
        self._count = 0
        self._bytes = 0
        self._limit = 1
        self._waiting_since = 0.0
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._unread: dict[str, int] = dict.fromkeys(STREAMS, 0)
        self._subscriptions: list[Any] = []
        self._under_way = UnderWay()
        self.repeated = 0

    async def follow(self, *streams: str) -> None:
        for stream in streams:
            self._subscriptions.append(
                await self._bus.follow(stream, self._callback(stream), after=self._seen[stream])
            )

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()
        self._subscriptions.clear()

    def _callback(self, stream: str) -> Any:
        waiting = self._waiting[stream]

        async def each(msg: "Msg", seq: int) -> None:
            if seq <= self._seen[stream]:
                self.repeated += 1
                return
            self._seen[stream] = seq
            # $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<stored ns>.<pending>
            _, stored, pending = msg.reply.rsplit(".", 2)
            self._unread[stream] = int(pending)
            if not self._count:
                self._waiting_since = time.monotonic()
                self._some.set()
            waiting.append(Message(stream, seq, msg.subject, msg.data, int(stored)))
            self._count += 1
            self._bytes += len(msg.data)
            if self._under_way.note(msg.subject, msg.data) or self._count >= self._limit:
                self._enough.set()
            while self._count >= MAX_MESSAGES or self._bytes >= MAX_BYTES:
                self._room.clear()
                await self._room.wait()

        return each

    @property
    def waiting(self) -> int:
        """Messages that are here and were not taken yet."""
        return self._count

    def lag(self) -> tuple[int, int]:
        """Messages not yet handed out, and the age of the oldest of them in ms."""
        heads = [waiting[0].stored_ns for waiting in self._waiting.values() if waiting]
        age = max(time.time_ns() - min(heads), 0) // 1_000_000 if heads else 0
        return self._count + sum(self._unread.values()), age

    async def take(
        self, limit: int, gather_s: float, quiet_s: float, settled_s: float = math.inf
    ) -> list[Message]:
        """The next messages: those that came within `gather_s` of the first, or sooner when `limit` are there, or when
        nothing came for `quiet_s`, or for `settled_s` while no run goes on. The first may have come long before the call,
        while the last batch was being written.

        Behind, five times the limit are taken of each stream at once. Never empty.
        """
        self._limit = limit
        await self._some.wait()
        seen = 0
        while (
            seen < self._count < limit and (left_s := self._waiting_since + gather_s - time.monotonic()) > 0
        ):
            seen = self._count
            self._enough.clear()
            pause_s = quiet_s if self._under_way else min(quiet_s, settled_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), min(left_s, pause_s))
        most = limit * BEHIND_FACTOR if self._count > limit else limit
        taken: list[Message] = []
        size = 0
        for (
            waiting
        ) in self._waiting.values():  # each stream has its share: a flood of events holds up no log line
            share = 0
            for _ in range(min(most, len(waiting))):
                message = waiting.popleft()
                taken.append(message)
                share += len(message.data)
                if share >= BATCH_BYTES:
                    break
            size += share
        self._count -= len(taken)
        self._bytes -= size
        self._waiting_since = time.monotonic()  # as far as any are left
        if not self._count:
            self._some.clear()
        self._room.set()
        return taken
