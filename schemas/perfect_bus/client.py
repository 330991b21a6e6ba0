"""nats-py's client, with its ways of reading and writing a message made short, and one thing mended.

Every step of every run passes through here several times, in each process; nats-py spends more on a message than the
server does. What is rare (a full buffer, a connection that is away, push consumers of its own) is left to it.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import TimeoutError as NatsTimeout

from perfect_bus.heard import Heard, header_lines
from perfect_bus.parser import Parser

WRITE_AHEAD_BYTES = 1024 * 1024  # so much unsent, and whoever writes waits as nats-py has it

_is_token_text = re.compile(r"[^\s\x00]+").fullmatch
Take = Callable[[Heard], None]


class Client(NatsClient):
    """awaited: answers that come some other way than to a request, which are lost with the connection like those."""

    def __init__(self) -> None:
        super().__init__()
        self._ps: Any = Parser(self)
        self._takers: dict[int, Take] = {}
        self.awaited: set[asyncio.Future[Any]] = set()

    # -- reading

    async def listen(self, subject: str, take: Take, *, queue: str = "") -> Subscription:
        """Subscribe with a plain function, called at once for each message: nothing in between, so it must not wait."""
        subscription = await self.subscribe(subject, queue, pending_msgs_limit=-1, pending_bytes_limit=-1)
        self._takers[subscription._id] = take
        waiting = subscription._pending_queue
        while not waiting.empty():  # came before the taker was known
            take(waiting.get_nowait())  # type: ignore[arg-type]
        return subscription

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        size = len(data)
        sub = self._subs.get(sid)
        if (
            sub is None
            or sub._jsi is not None
            or sub._future is not None
            or 0 < sub._pending_bytes_limit <= sub._pending_size + size
            or sub._pending_queue.full()
        ):
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        stats = self.stats
        stats["in_msgs"] += 1
        stats["in_bytes"] += size
        sub._received += 1
        if 0 < sub._max_msgs <= sub._received:
            self._subs.pop(sid, None)
        heard = Heard(self, sid, subject, reply, data, headers)
        take = self._takers.get(sid)
        if take is None:
            sub._pending_size += size
            sub._pending_queue.put_nowait(heard)
            return
        try:
            take(heard)
        except Exception as error:
            await self._error_cb(error)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        super()._remove_sub(sid, max_msgs)
        self._takers.pop(sid, None)

    async def _init_request_sub(self) -> None:
        await super()._init_request_sub()
        for sid, sub in self._subs.items():
            if sub._cb == self._request_sub_callback:
                self._takers[sid] = self._take_answer

    def _take_answer(self, msg: Msg) -> None:
        answer = self._resp_map.get(msg.subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(msg)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        return header_lines(raw)

    # -- writing

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Written to the connection at once, in the order of the calls: whatever is ready in one turn of the loop
        leaves together.
        """
        block = _header_block(headers) if headers else b""
        if (
            block is None
            or self._pending
            or not self.is_connected
            or self.is_draining_pubs
            or len(payload) > self._max_payload
            or _is_token_text(subject) is None
            or (reply and _is_token_text(reply) is None)
            or not self._has_room
        ):
            await super().publish(subject, payload, reply, headers)
            return
        where = f"{subject} {reply}" if reply else subject
        size = len(payload)
        if block:
            head = b"HPUB %b %d %d\r\n%b" % (where.encode(), len(block), len(block) + size, block)
        else:
            head = b"PUB %b %d\r\n" % (where.encode(), size)
        stats = self.stats
        stats["out_msgs"] += 1
        stats["out_bytes"] += size
        assert self._transport is not None
        self._transport.write(b"%b%b\r\n" % (head, payload))

    @property
    def _has_room(self) -> bool:
        writer = getattr(self._transport, "_io_writer", None)  # a WebSocket has none
        if writer is None or writer.transport.is_closing():
            return False
        return writer.transport.get_write_buffer_size() < WRITE_AHEAD_BYTES

    async def lost(self) -> None:
        """When the connection is lost: what was not written to it yet is as lost as what was, and so are the answers to
        what was asked over it.

        nats-py sends the former first thing on the next connection, ahead of what was written before it and is sent
        again by the outbox: events would change places. (Subscriptions are made anew all the same.) For the latter it
        would wait until they time out, seconds after the server is back.
        """
        self._pending = []
        self._pending_data_size = 0
        for answer in [*self._resp_map.values(), *self.awaited]:
            if not answer.done():
                answer.set_exception(NatsTimeout())


def _header_block(headers: dict[str, str]) -> bytes | None:
    """None for what is not plainly a header: nats-py judges it."""
    text = "NATS/1.0\r\n"
    for name, value in headers.items():
        if not name.replace("-", "").isalnum() or not value.isprintable() or value != value.strip():
            return None
        text += f"{name}: {value}\r\n"
    return (text + "\r\n").encode()
