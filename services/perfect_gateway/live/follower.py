"""The streams, followed once for all who listen, and only while somebody does.

Listeners get every message in order: `on_event(seq, run_id, data)`, `on_log(seq, run_id, data)`, `on_definition(kind,
data)`. `position` is the last message given to them.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Protocol

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from perfect_bus import Bus
from perfect_gateway.live.position import Position
from perfect_schemas.errors import BusUnavailable

if TYPE_CHECKING:
    from nats.aio.msg import Msg

LINGER_S = 30.0
STREAMS = ("EVENTS", "LOGS", "DEFS")


class Listener(Protocol):
    def on_event(self, seq: int, run_id: str, data: bytes, /) -> None: ...
    def on_log(self, seq: int, run_id: str, data: bytes, /) -> None: ...
    def on_definition(self, kind: str, data: bytes, /) -> None: ...


class Follower:
    def __init__(self, bus: Bus, *, linger_s: float = LINGER_S) -> None:
        self._bus = bus
        self._linger_s = linger_s
        self._listeners: list[Listener] = []
        self._subscriptions: list[Any] = []
        self._users = 0
        self._lock = asyncio.Lock()
        self._ending: asyncio.TimerHandle | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._last: dict[str, int] = dict.fromkeys(STREAMS, 0)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    @property
    def following(self) -> bool:
        return bool(self._subscriptions)

    @property
    def position(self) -> Position:
        return Position(self._last["EVENTS"], self._last["LOGS"])

    async def acquire(self) -> None:
        """Follow until `release`. Raises BusUnavailable."""
        self._users += 1
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        try:
            async with self._lock:
                if not self._subscriptions:
                    await self._start()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        self._users -= 1
        if self._users == 0 and self._ending is None:
            self._ending = asyncio.get_running_loop().call_later(self._linger_s, self._end)

    async def stop(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
        async with self._lock:
            await self._unsubscribe()

    def _end(self) -> None:
        self._ending = None
        self._stopping = asyncio.ensure_future(self._stop_unused())

    async def _stop_unused(self) -> None:
        async with self._lock:
            if self._users == 0:
                await self._unsubscribe()

    async def _start(self) -> None:
        try:
            for stream in STREAMS:
                info = await self._bus.js.stream_info(stream)
                self._last[stream] = info.state.last_seq
                subscription = await self._bus.follow(stream, self._heard(stream), after=info.state.last_seq)
                self._subscriptions.append(subscription)
        except (NatsError, JetStreamError, TimeoutError) as error:
            await self._unsubscribe()
            raise BusUnavailable(f"the streams cannot be followed now: {type(error).__name__}") from error

    async def _unsubscribe(self) -> None:
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            with contextlib.suppress(NatsError, JetStreamError, TimeoutError):
                await subscription.unsubscribe()

    def _heard(self, stream: str) -> Any:
        async def heard(msg: "Msg", seq: int) -> None:
            if seq <= self._last[stream]:
                return
            self._last[stream] = seq
            _, _, rest = msg.subject.partition(".")
            kind, _, name = rest.rpartition(".")
            for listener in self._listeners:
                try:
                    if stream == "EVENTS":
                        listener.on_event(seq, name, msg.data)
                    elif stream == "LOGS":
                        listener.on_log(seq, name, msg.data)
                    else:
                        listener.on_definition(kind.rpartition(".")[2], msg.data)
                except Exception as error:
                    self._bus.report(f"live updates: {stream} {seq}: {type(error).__name__}: {error}")

        return heard
