"""Request and reply: asking a service, and answering; a large reply goes in chunks."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout

from perfect_bus.client import Client
from perfect_schemas import codec, streams
from perfect_schemas.commands import Reply
from perfect_schemas.errors import Failed, PerfectError, ServiceUnavailable, from_problem

_decode_reply = msgspec.json.Decoder(Reply).decode


class Asking(ABC):
    """The part of a `Bus` that asks and answers."""

    nc: Client

    @abstractmethod
    def report(self, text: str) -> None:
        """Say what went wrong where nobody waits for it."""

    async def ask(self, subject: str, request: Any, *, timeout_s: float = 10.0, try_s: float = 2.0) -> Reply:
        """Ask a service, again until it answers or `timeout_s` is over. Raises what it answered as a problem.

        Raises ServiceUnavailable when nobody answers. The request must be safe to repeat.
        """
        data = codec.encode(request)
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            try:
                reply = _decode_reply(await self._request(subject, data, min(try_s, max(left, 0.01))))
                break
            except (NatsTimeout, TimeoutError, NoRespondersError) as exc:
                if time.monotonic() + 0.05 > deadline:
                    raise ServiceUnavailable(f"no service answers {subject}") from exc
                await asyncio.sleep(0.05)
        if reply.problem is not None:
            raise from_problem(reply.problem)
        return reply

    async def _request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        msg = await self.nc.request(subject, data, timeout=timeout_s)
        chunks = int((msg.headers or {}).get("Perfect-Chunks", "0"))
        if not chunks:
            return msg.data
        return await self._collect(msg, chunks, timeout_s)

    async def _collect(self, first: Msg, chunks: int, timeout_s: float) -> bytes:
        """A reply in chunks: the first message names the subject on which the parts can be asked for."""
        where = first.data.decode()
        parts = [await self.nc.request(where, str(n).encode(), timeout=timeout_s) for n in range(chunks)]
        return b"".join(part.data for part in parts)

    async def answer(
        self, subject: str, handler: Callable[[bytes], Awaitable[Reply]], *, queue: str = ""
    ) -> Subscription:
        """Answer every request on `subject` with what `handler` returns; a PerfectError becomes a problem.

        Requests are handled concurrently. End it with `.unsubscribe()`: who asks then tries again elsewhere.
        """
        tasks: set[asyncio.Task[None]] = set()

        async def one(msg: Msg) -> None:
            try:
                reply = await handler(msg.data)
            except PerfectError as error:
                reply = Reply(problem=error.problem())
            except msgspec.DecodeError as error:
                reply = Reply(problem=Failed(f"the request cannot be read: {error}").problem())
            except Exception as error:
                self.report(f"{subject}: {type(error).__name__}: {error}")
                reply = Reply(problem=Failed(f"{type(error).__name__}: {error}").problem())
            await self._respond(msg, codec.encode(reply))

        def each(msg: Msg) -> None:
            task = asyncio.create_task(one(msg))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        return await self.nc.listen(subject, each, queue=queue)

    async def _respond(self, msg: Msg, data: bytes) -> None:
        if len(data) <= streams.REPLY_CHUNK_BYTES:
            await self.nc.publish(msg.reply, data)
            return
        size = streams.REPLY_CHUNK_BYTES
        parts = [data[start : start + size] for start in range(0, len(data), size)]
        where = self.nc.new_inbox()

        async def part(request: Msg) -> None:
            await request.respond(parts[int(request.data)])

        sub = await self.nc.subscribe(where, cb=part, max_msgs=len(parts))
        asyncio.get_running_loop().call_later(30, lambda: asyncio.ensure_future(_quietly(sub.unsubscribe())))
        await self.nc.publish(msg.reply, where.encode(), headers={"Perfect-Chunks": str(len(parts))})


async def _quietly(awaitable: Awaitable[Any]) -> None:
    try:
        await awaitable
    except Exception:
        return
