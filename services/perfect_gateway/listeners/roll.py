"""All listeners of this gateway, and what is said of the runs that they hold."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_gateway.listeners import report
from perfect_gateway.listeners.listener import Listener, Wanted
from perfect_gateway.listeners.report import Report, Told
from perfect_runtime.decider import Aggregate, handle, read
from perfect_schemas import codec, ids, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import StoredValue, utc_now
from perfect_schemas.errors import BusUnavailable
from perfect_schemas.streams import CLAIM_CHECK_BYTES

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.follow import Following

STOP_S = 2.0


class Listeners:
    def __init__(self, bus: Bus, settings: Settings) -> None:
        self._bus = bus
        self._settings = settings
        self._open: set[Listener] = set()
        self._holders: dict[str, Listener] = {}
        self._following: Following | None = None
        self._lock = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._closing = False

    def __len__(self) -> int:
        return len(self._open)

    async def listen(self, wanted: Wanted) -> AsyncGenerator[bytes]:
        """The frames of one listener, which is there from the first frame until the iterator is closed."""
        listener = Listener(
            self._bus,
            wanted,
            lease_s=self._settings.lease_s,
            presence_every_s=self._settings.presence_every_s,
            hold=self._holders.__setitem__,
            release=self._release,
        )
        self._open.add(listener)
        try:
            if self._closing:
                return
            await self._follow()
            await self._replace(wanted.client_id)
            await listener.open()
            async for frames in listener.stream.frames():
                yield frames
        finally:
            # In a task of its own: whoever ends the stream cancels everything that is awaited here.
            self._spawn(self._leave(listener))

    async def report(self, wanted: Report, result: bytes | None) -> str:
        """Ends the run. Returns its state. result: JSON, kept beside the events when it is large.

        Raises NotFound, Conflicting, TooLarge, BusUnavailable.
        """
        aggregate: Aggregate[Told] = Aggregate(subjects.run(wanted.run_id), report.evolve)
        await read(self._bus, aggregate)
        report.decide(aggregate.state, wanted, event_id="", now=utc_now())
        if result is not None:
            wanted = msgspec.structs.replace(wanted, result=await self._kept(wanted, result))
        event_id, now = ids.uuid7(), utc_now()
        await handle(
            self._bus, aggregate, lambda told: report.decide(told, wanted, event_id=event_id, now=now)
        )
        assert aggregate.state is not None
        return aggregate.state.life.state.value

    async def close(self) -> None:
        """End every stream; no new one begins. Whoever holds runs has one lease to come back."""
        self._closing = True
        for listener in list(self._open):
            listener.stream.close()
            self._spawn(self._leave(listener))
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=STOP_S)
        await self._unfollow()

    async def _replace(self, client_id: str | None) -> None:
        """A listener that comes back has left its earlier connection, whether or not that was noticed."""
        for listener in [one for one in self._open if one.client_id == client_id]:
            listener.stream.close()
            await self._leave(listener)

    async def _leave(self, listener: Listener) -> None:
        if listener not in self._open:
            return
        self._open.discard(listener)
        await listener.close()
        if not self._open:
            await self._unfollow()

    async def _kept(self, wanted: Report, result: bytes) -> StoredValue:
        if len(result) < CLAIM_CHECK_BYTES:
            return StoredValue(value=msgspec.Raw(result), size_bytes=len(result))
        ref = f"{wanted.run_id}/result-{wanted.epoch}"
        try:
            store = await self._bus.results()
            await store.put(ref, result)
        except (NatsError, TimeoutError, OSError) as error:
            raise BusUnavailable(
                f"a result of {len(result):,} bytes could not be stored: {error or type(error).__name__}"
            ) from error
        return StoredValue(ref=ref, size_bytes=len(result))

    # -- what is said of runs

    async def _follow(self) -> None:
        """Raises BusUnavailable."""
        async with self._lock:
            if self._following is not None:
                return
            try:
                after = (await self._bus.js.stream_info("EVENTS")).state.last_seq
                self._following = await self._bus.follow(
                    "EVENTS", self._heard, after=after, subject=subjects.ALL_RUNS
                )
            except (NatsError, JetStreamError, TimeoutError) as error:
                raise BusUnavailable(f"the runs cannot be followed now: {type(error).__name__}") from error

    async def _unfollow(self) -> None:
        async with self._lock:
            if self._following is not None and (self._closing or not self._open):
                with contextlib.suppress(NatsError, JetStreamError, TimeoutError):
                    await self._following.unsubscribe()
                self._following = None

    async def _heard(self, msg: "Msg", seq: int) -> None:
        run_id = msg.subject.rpartition(".")[2]
        listener = self._holders.get(run_id)
        if listener is not None:
            event = codec.decode(msg.data)
            if not isinstance(event, UnknownEvent):
                listener.heard(run_id, seq, event)

    def _release(self, run_id: str, listener: Listener) -> None:
        if self._holders.get(run_id) is listener:
            del self._holders[run_id]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
