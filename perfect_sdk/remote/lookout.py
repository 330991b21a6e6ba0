"""Which clients are there, for whoever waits for one of them: watched only while somebody does.

A client is lost when its presence has ended and it had the time to come back: no verdict falls before one full lease
after the connection was made (again), so that an outage of the bus is nobody's loss.
"""

import asyncio
import contextlib
import time
import weakref
from typing import Protocol

from nats.errors import Error as NatsError

from perfect_bus import presence
from perfect_schemas.commands import Presence
from perfect_schemas.errors import PerfectError
from perfect_sdk.connecting.io import IO

LINGER_S = 10.0
AGAIN_S = 0.5

_of: "weakref.WeakKeyDictionary[IO, Lookout]" = weakref.WeakKeyDictionary()


class Watcher(Protocol):
    def clients_known(self) -> None:
        """Everybody who is there is known now: say (again) whom you `expect`."""

    def client_lost(self, client_id: str) -> None:
        """The verdict: it is gone and has had the time to come back."""


class Lookout:
    """One a process. Everything happens on the I/O loop."""

    def __init__(self, io: IO) -> None:
        self._io = weakref.ref(io)
        self._bus = io.bus
        self._lease_s = io.lease_s
        self._since = 0.0
        self._watching: asyncio.Task[None] | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._verdicts: dict[str, asyncio.TimerHandle] = {}
        self.clients: dict[str, Presence] = {}
        self.known = asyncio.Event()
        self._watchers: list[Watcher] = []

    @classmethod
    def of(cls, io: IO) -> "Lookout":
        found = _of.get(io)
        if found is None or found._bus is not io.bus:
            found = _of[io] = cls(io)
        return found

    def open(self, watcher: Watcher) -> None:
        """Watch, until everybody has called `close`."""
        self._watchers.append(watcher)
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        if self._watching is None:
            self._bus.reconnected.append(self._begin)
            self._begin()

    def close(self, watcher: Watcher) -> None:
        self._watchers.remove(watcher)
        if not self._watchers and self._closing is None:
            self._closing = asyncio.get_running_loop().call_later(LINGER_S, self._end)

    def expect(self, client_id: str) -> None:
        """Somebody depends on this client: it gets its verdict if it is not there."""
        if self.known.is_set() and client_id not in self.clients and client_id not in self._verdicts:
            self._call_at(time.monotonic() + self._lease_s, client_id)

    def serves(self, queue: str, flow_id: str) -> bool:
        return any(queue in one.queues and flow_id in one.flows for one in self.clients.values())

    # -- watching

    def _begin(self) -> None:
        """Also after a reconnection: what expired while the connection was away may not be heard of any more."""
        if self._watching is not None:
            self._watching.cancel()
        self._since = time.monotonic()
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    def _end(self) -> None:
        self._closing = None
        if self._begin in self._bus.reconnected:
            self._bus.reconnected.remove(self._begin)
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        for timer in self._verdicts.values():
            timer.cancel()
        self._verdicts.clear()
        self.clients = {}
        self.known.clear()

    async def _watch(self) -> None:
        while True:
            try:
                await self._follow()
            except (PerfectError, NatsError, TimeoutError) as error:
                if self._bus.nc.is_closed:
                    return
                self._bus.report(f"presence cannot be watched yet: {error}")
                await asyncio.sleep(AGAIN_S)

    async def _follow(self) -> None:
        present: dict[str, Presence] | None = {}
        async with contextlib.aclosing(presence.watch(self._bus)) as watching:  # type: ignore[type-var]
            async for seen in watching:
                if seen is None:
                    gone = [client_id for client_id in self.clients if client_id not in (present or {})]
                    self.clients, present = present or {}, None
                    self.known.set()
                    for client_id in gone:
                        self._gone(client_id)
                    for watcher in list(self._watchers):
                        watcher.clients_known()
                elif seen[1] is None:
                    if present is None:
                        self.clients.pop(seen[0], None)
                        self._gone(seen[0])
                elif present is not None:
                    present[seen[0]] = seen[1]
                else:
                    self.clients[seen[0]] = seen[1]

    # -- verdicts

    def _gone(self, client_id: str) -> None:
        if client_id not in self._verdicts:
            self._call_at(self._earliest(), client_id)

    def _earliest(self) -> float:
        return max(self._since, self._bus.connected_since) + self._lease_s

    def _call_at(self, monotonic: float, client_id: str) -> None:
        due = max(monotonic, time.monotonic())
        self._verdicts[client_id] = asyncio.get_running_loop().call_later(
            due - time.monotonic(), self._verdict, client_id, due
        )

    def _verdict(self, client_id: str, due: float) -> None:
        self._verdicts.pop(client_id, None)
        if client_id in self.clients:
            return
        now = time.monotonic()
        if not self._bus.nc.is_connected or now - due > self._lease_s / 2:  # this process itself stood still
            self._call_at(now + self._lease_s, client_id)
        elif now < self._earliest() - 0.001:
            self._call_at(self._earliest(), client_id)
        else:
            for watcher in list(self._watchers):
                watcher.client_lost(client_id)
