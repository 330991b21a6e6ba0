"""The connection to NATS: publishing through the outbox, reading subjects, following streams, asking services."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError
from nats.js.object_store import ObjectStore

from perfect_bus.client import Client
from perfect_bus.follow import Following
from perfect_bus.outbox import Outbox
from perfect_schemas import codec, streams, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.commands import Reply
from perfect_schemas.envelope import Event
from perfect_schemas.errors import BusUnavailable, Failed, PerfectError, ServiceUnavailable, from_problem

READ_BATCH = 1000
READ_SILENCE_S = 2.0
_decode_reply = msgspec.json.Decoder(Reply).decode


class Connection(msgspec.Struct, frozen=True, omit_defaults=True):
    """`connection.json`, by which clients find the running system. url without credentials."""

    url: str
    user: str | None = None
    password: str | None = None
    gateway: str | None = None

    @classmethod
    def load(cls, file: Path) -> "Connection":
        return msgspec.json.decode(file.read_bytes(), type=cls)

    @classmethod
    def of_url(cls, url: str) -> "Connection":
        """nats://user:password@host:port → a Connection with the credentials apart."""
        parts = urlsplit(url)
        address = f"{parts.scheme or 'nats'}://{parts.hostname or '127.0.0.1'}:{parts.port or 4222}"
        return cls(url=address, user=parts.username, password=parts.password)

    def save(self, file: Path) -> None:
        """Write atomically, readable by the owner only."""
        part = file.with_suffix(".part")
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(self)))
        part.replace(file)


class Bus:
    """One connection. Create with `await Bus.connect(...)`, end with `await bus.close()`.

    on_error(text): every asynchronous error of the connection, once a second at most for the same text.
    reconnected: callbacks called (synchronously) after each reconnection.
    """

    def __init__(self, nc: Client, *, on_error: Callable[[str], None] | None = None) -> None:
        self.nc = nc
        self.js: JetStreamContext = nc.jetstream(timeout=5)
        self.outbox = Outbox(nc, on_error=lambda subject, error: self.report(f"{subject}: {error}"))
        self.reconnected: list[Callable[[], None]] = []
        self.connected_since = time.monotonic()
        self._on_error = on_error
        self._last_error = ("", 0.0)

    @classmethod
    async def connect(
        cls,
        connection: Connection,
        *,
        name: str,
        timeout_s: float = 10.0,
        on_error: Callable[[str], None] | None = None,
    ) -> "Bus":
        """Raises BusUnavailable when NATS does not answer within `timeout_s`."""
        holder: list[Bus] = []
        failed: list[Exception] = []

        async def error(exc: Exception) -> None:
            failed[:] = [exc]
            if holder:
                holder[0].report(f"{type(exc).__name__}: {exc}")

        async def back() -> None:
            if holder:
                holder[0].back()

        options: dict[str, Any] = (
            {"user": connection.user, "password": connection.password} if connection.user else {}
        )
        nc = Client()
        try:
            async with asyncio.timeout(
                timeout_s
            ):  # with endless reconnecting, the first connect never gives up
                await nc.connect(
                    connection.url,
                    name=name,
                    error_cb=error,
                    disconnected_cb=nc.forget_unsent,
                    reconnected_cb=back,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.2,
                    connect_timeout=2,
                    allow_reconnect=True,
                    pending_size=32 * 1024 * 1024,
                    inbox_prefix=b"_INBOX",
                    **options,
                )
        except TimeoutError:
            await nc.close()
            raise BusUnavailable(
                f"NATS at {connection.url} does not answer: {failed[0] if failed else 'no connection'}"
            ) from None
        bus = cls(nc, on_error=on_error)
        holder.append(bus)
        await bus.outbox.start()
        return bus

    def report(self, text: str) -> None:
        now = time.monotonic()
        if self._on_error is not None and (text != self._last_error[0] or now - self._last_error[1] > 1):
            self._last_error = (text, now)
            self._on_error(text)

    def back(self) -> None:
        self.connected_since = time.monotonic()
        self.outbox.reconnected()
        for callback in self.reconnected:
            callback()

    async def close(self, flush_s: float = 5.0) -> int:
        """Returns how many messages could not be acknowledged within `flush_s` seconds."""
        left = await self.outbox.stop(flush_s)
        await self.nc.close()
        return left

    # -- streams

    async def ensure_streams(self, *, replicas: int = 1, max_bytes: dict[str, int] | None = None) -> None:
        """Create what is missing. Streams that exist are left as they are."""
        limits = max_bytes or {}
        present = {name async for name in _stream_names(self.js)}
        for stream in streams.ALL:
            if stream.name not in present:
                await self._create_stream(stream, replicas, limits.get(stream.name, stream.max_bytes))
        if f"KV_{subjects.CLIENTS}" not in present:
            await self.ensure_bucket(subjects.CLIENTS, replicas=replicas)

    async def ensure_bucket(self, bucket: str, *, ttl_s: float = 0.0, replicas: int = 1) -> None:
        """A KV bucket whose keys can expire. Buckets that few systems need are made when they are first used: every
        stream costs the server a little even while nothing happens.
        """
        await self.js.create_key_value(
            api.KeyValueConfig(bucket=bucket, history=1, ttl=ttl_s, limit_marker_ttl=60, replicas=replicas)
        )

    async def results(self) -> ObjectStore:
        """The object store for large values, made when it is first used."""
        try:
            return await self.js.object_store(subjects.RESULTS)
        except NotFoundError:
            return await self.js.create_object_store(bucket=subjects.RESULTS)

    async def _create_stream(self, stream: streams.Stream, replicas: int, max_bytes: int | None) -> None:
        await self.js.add_stream(
            api.StreamConfig(
                name=stream.name,
                subjects=stream.subjects,
                retention=api.RetentionPolicy.WORK_QUEUE
                if stream.retention == "workqueue"
                else api.RetentionPolicy.LIMITS,
                discard=api.DiscardPolicy.NEW if stream.discard == "new" else api.DiscardPolicy.OLD,
                max_age=stream.max_age_s or 0,
                max_bytes=max_bytes or -1,
                duplicate_window=min(
                    streams.DUPLICATE_WINDOW_S, stream.max_age_s or streams.DUPLICATE_WINDOW_S
                ),
                allow_direct=True,
                allow_msg_schedules=stream.allow_schedules or None,
                allow_batched=stream.allow_batched or None,
                num_replicas=replicas,
            )
        )

    # -- reading

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

        By a consumer: a direct get of the last messages is refused above 1,024 subjects.
        """
        up_to = (await self.js.stream_info(stream)).state.last_seq
        last: dict[str, tuple[int, bytes]] = {}
        complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def each(msg: Msg) -> None:
            tokens = msg.reply.split(".")
            last[msg.subject] = (int(tokens[-4]), msg.data)
            if tokens[-1] == "0" and not complete.done():  # tokens: … stream seq, consumer seq, time, pending
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
            if info.num_pending or info.delivered.consumer_seq:
                await asyncio.wait_for(complete, 60)
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
        """Collected by a callback: `next_msg` makes two asyncio tasks for each message."""
        found: list[tuple[int, str, bytes]] = []
        end: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

        async def each(msg: Msg) -> None:
            headers = msg.headers or {}
            if "Status" not in headers:
                found.append((int(headers["Nats-Sequence"]), headers["Nats-Subject"], msg.data))
            elif not end.done():
                end.set_result(headers)

        inbox = self.nc.new_inbox()
        sub = await self.nc.subscribe(inbox, cb=each, pending_msgs_limit=-1, pending_bytes_limit=-1)
        try:
            await self.nc.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), reply=inbox)
            headers = await _while_it_grows(end, found)
        finally:
            await sub.unsubscribe()
        status = headers["Status"]
        if status in ("204", "404"):
            return found, int(headers.get("Nats-Num-Pending", "0")) > 0
        if status == "503":
            raise NoRespondersError
        raise Failed(f"stream {stream} cannot be read: {status} {headers.get('Description', '')}")

    async def follow(
        self,
        stream: str,
        callback: Callable[[Msg, int], Awaitable[None]],
        *,
        after: int,
        subject: str | None = None,
    ) -> Following:
        """Call `callback(msg, sequence)` for every message after the sequence `after`, in order, for ever.

        Goes on by itself after a restart of the server. End it with `.unsubscribe()`.
        """
        following = Following(self, stream, callback, after=after, subject=subject or ">")
        await following.start()
        return following

    # -- asking

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

        async def each(msg: Msg) -> None:
            task = asyncio.create_task(one(msg))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        return await self.nc.subscribe(subject, queue=queue, cb=each)

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


async def _while_it_grows(end: "asyncio.Future[dict[str, str]]", found: list[Any]) -> dict[str, str]:
    """Raises TimeoutError when nothing has come for READ_SILENCE_S."""
    while True:
        before = len(found)
        await asyncio.wait([end], timeout=READ_SILENCE_S)
        if end.done():
            return end.result()
        if len(found) == before:
            raise TimeoutError


async def _quietly(awaitable: Awaitable[Any]) -> None:
    try:
        await awaitable
    except Exception:
        return


async def _stream_names(js: JetStreamContext):  # noqa: ANN202
    for info in await js.streams_info():
        yield info.config.name
