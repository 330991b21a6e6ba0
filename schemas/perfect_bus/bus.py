"""The connection to NATS: its life, the outbox, the streams and buckets, following a stream.

Reading subjects is in `reading`, asking services in `asking`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError
from nats.js.object_store import ObjectStore

from perfect_bus import launchers
from perfect_bus.asking import Asking
from perfect_bus.client import Client
from perfect_bus.connection import Connection
from perfect_bus.follow import Following
from perfect_bus.outbox import Outbox
from perfect_bus.reading import Reading
from perfect_schemas import streams, subjects
from perfect_schemas.errors import BusUnavailable

__all__ = ["Bus", "Connection"]


class Bus(Reading, Asking):
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
                    disconnected_cb=nc.lost,
                    reconnected_cb=back,
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.2,  # pyright: ignore[reportArgumentType]
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
        """Create what is missing. Streams that exist are left as they are, but for the subjects and the duplicate window
        of this version.
        """
        limits = max_bytes or {}
        present = {info.config.name: info.config for info in await self.js.streams_info()}
        for stream in streams.ALL:
            if (config := present.get(stream.name)) is not None:
                await self._bring_up_to_date(config, stream)
            else:
                await self._create_stream(stream, replicas, limits.get(stream.name, stream.max_bytes))
        if f"KV_{subjects.CLIENTS}" not in present:
            await self.ensure_bucket(subjects.CLIENTS, replicas=replicas)
        if launchers.STREAM not in present:
            await self.ensure_bucket(
                subjects.LAUNCHERS, replicas=replicas, marker_s=launchers.GONE_S, direct=True
            )

    async def _bring_up_to_date(self, config: api.StreamConfig, stream: streams.Stream) -> None:
        known = config.subjects or []
        wanted = config.evolve(
            subjects=[*known, *(subject for subject in stream.subjects if subject not in known)],
            duplicate_window=_duplicate_window_s(stream),
        )
        if (wanted.subjects, wanted.duplicate_window) != (config.subjects, config.duplicate_window):
            await self.js.update_stream(wanted)

    async def ensure_bucket(
        self, bucket: str, *, ttl_s: float = 0.0, replicas: int = 1, marker_s: int = 60, direct: bool = False
    ) -> None:
        """A KV bucket whose keys can expire; the mark of that is kept for `marker_s` seconds. direct: for `read_raw`.

        Buckets that few systems need are made when they are first used: every stream costs the server a little even
        while nothing happens.
        """
        await self.js.create_key_value(
            api.KeyValueConfig(
                bucket=bucket,
                history=1,
                ttl=ttl_s,
                limit_marker_ttl=marker_s,
                replicas=replicas,
                direct=direct,
            )
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
                duplicate_window=_duplicate_window_s(stream),
                allow_direct=True,
                allow_msg_schedules=stream.allow_schedules or None,
                allow_batched=stream.allow_batched or None,
                num_replicas=replicas,
            )
        )

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


def _duplicate_window_s(stream: streams.Stream) -> float:
    return min(streams.DUPLICATE_WINDOW_S, stream.max_age_s or streams.DUPLICATE_WINDOW_S)
