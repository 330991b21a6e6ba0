"""Reading what stands on a stream's subjects: a finite read, by direct gets, without a consumer where that is possible."""

import asyncio
import contextlib
import json
import time
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext, api

from perfect_bus.client import Client
from perfect_schemas import codec
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.errors import BusUnavailable, Failed

READ_BATCH = 1000
READ_SILENCE_S = 2.0
LAST_SILENCE_S = 1.0
LAST_S = 60.0


class Reading:
    """The part of a `Bus` that reads."""

    nc: Client
    js: JetStreamContext

    async def read(
        self, subject: str, *, after: int = 0, until: int | None = None, stream: str = "EVENTS"
    ) -> list[tuple[int, Event | UnknownEvent]]:
        """The events on one subject after the sequence `after` (and up to `until`), in order."""
        return [
            (seq, codec.decode(data))
            for seq, _, data in await self.read_raw(subject, after=after, until=until, stream=stream)
        ]

    async def read_raw(
        self,
        subject: str,
        *,
        after: int = 0,
        until: int | None = None,
        stream: str = "EVENTS",
        limit: int | None = None,
    ) -> list[tuple[int, str, bytes]]:
        """(sequence, subject, data) of the messages after `after`, up to `until`, the first `limit` of them."""
        found: list[tuple[int, str, bytes]] = []
        position = after + 1
        while True:
            batch_size = READ_BATCH if limit is None else min(READ_BATCH, limit - len(found))
            if batch_size == 0:
                return found
            request: dict[str, Any] = {"seq": position, "batch": batch_size, "next_by_subj": subject}
            batch, more = await self._direct_get(stream, request)
            for seq, name, data in batch:
                if until is not None and seq > until:
                    return found
                found.append((seq, name, data))
            if not more or not batch:
                return found
            position = batch[-1][0] + 1

    async def last(self, subject: str, *, stream: str = "EVENTS") -> tuple[int, Event | UnknownEvent] | None:
        """(sequence, event) of the last message on one subject, None when it is empty."""
        found, _ = await self._direct_get(stream, {"multi_last": [subject]})
        return (found[-1][0], codec.decode(found[-1][2])) if found else None

    async def last_of_each(
        self, subject: str, *, stream: str = "EVENTS"
    ) -> tuple[dict[str, tuple[int, bytes]], int]:
        """The last message of every subject that matches, and the stream sequence that this is as of.

        By a consumer: a direct get of the last messages is refused above 1,024 subjects. Raises TimeoutError after 60 s.
        """
        up_to = (await self.js.stream_info(stream)).state.last_seq
        last: dict[str, tuple[int, bytes]] = {}
        delivered = 0
        complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def each(msg: Msg) -> None:
            nonlocal delivered
            tokens = msg.reply.split(".")  # … stream seq, consumer seq, time, pending
            last[msg.subject] = (int(tokens[-4]), msg.data)
            delivered = int(tokens[-3])
            if tokens[-1] == "0" and not complete.done():
                complete.set_result(None)

        subscription = await self.js.subscribe(
            subject,
            stream=stream,
            ordered_consumer=True,
            cb=each,
            deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT,
            config=api.ConsumerConfig(idle_heartbeat=1),
            pending_msgs_limit=-1,
            pending_bytes_limit=-1,
        )
        try:
            info = await subscription.consumer_info()
            async with asyncio.timeout(LAST_S):
                while info.num_pending or _delivered(info) != delivered:
                    before = delivered
                    await asyncio.wait([complete], timeout=LAST_SILENCE_S)
                    if complete.done():
                        break
                    if delivered == before:  # what was to be the last message may have been purged meanwhile
                        with contextlib.suppress(NatsError):  # away, or just made anew
                            info = await subscription.consumer_info()
        finally:
            await subscription.unsubscribe()
        return last, max([up_to, *(seq for seq, _ in last.values())])

    async def _direct_get(
        self, stream: str, request: dict[str, Any], timeout_s: float = 10.0
    ) -> tuple[list[tuple[int, str, bytes]], bool]:
        """One multi-message direct get. Returns (messages, whether there are more)."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return await self._direct_get_once(stream, request)
            except (NatsTimeout, NoRespondersError, TimeoutError):
                if time.monotonic() > deadline:
                    raise BusUnavailable(f"stream {stream} does not answer") from None
                await asyncio.sleep(0.1)

    async def _direct_get_once(
        self, stream: str, request: dict[str, Any]
    ) -> tuple[list[tuple[int, str, bytes]], bool]:
        """Collected as it is heard: `next_msg` makes two asyncio tasks for each message."""
        found: list[tuple[int, str, bytes]] = []
        end: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

        def each(msg: Msg) -> None:
            headers = msg.headers or {}
            if "Status" not in headers:
                found.append((int(headers["Nats-Sequence"]), headers["Nats-Subject"], msg.data))
            elif not end.done():
                end.set_result(headers)

        inbox = self.nc.new_inbox()
        sub = await self.nc.listen(inbox, each)
        self.nc.awaited.add(end)
        try:
            await self.nc.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=inbox)
            headers = await _while_it_grows(end, found)
        finally:
            self.nc.awaited.discard(end)
            await sub.unsubscribe()
        status = headers["Status"]
        if status in ("204", "404"):
            return found, int(headers.get("Nats-Num-Pending", "0")) > 0
        if status == "503":
            raise NoRespondersError
        raise Failed(f"stream {stream} cannot be read: {status} {headers.get('Description', '')}")


def _delivered(info: api.ConsumerInfo) -> int:
    """The consumer's own sequence of the last message that it has sent."""
    return info.delivered.consumer_seq if info.delivered is not None else 0


async def _while_it_grows(end: "asyncio.Future[dict[str, str]]", found: list[Any]) -> dict[str, str]:
    """Raises TimeoutError when nothing has come for READ_SILENCE_S."""
    while True:
        before = len(found)
        await asyncio.wait([end], timeout=READ_SILENCE_S)
        if end.done():
            return end.result()
        if len(found) == before:
            raise TimeoutError
