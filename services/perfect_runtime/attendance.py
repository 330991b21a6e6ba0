"""Who is there: the clients whose presence is alive, and the verdict on those whose presence has ended.

No verdict falls before one full lease after the start of this service or the bus's last (re)connection, so that an
outage of the bus, which keeps clients from renewing, is nobody's loss.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Protocol

from nats.errors import Error as NatsError

from perfect_bus import Bus, presence
from perfect_runtime.service import Context
from perfect_schemas import subjects
from perfect_schemas.commands import Presence
from perfect_schemas.errors import PerfectError

CLOCK_S = 0.001


class Observer(Protocol):
    """Called synchronously, on the service's event loop."""

    def client_changed(self, client: Presence) -> None:
        """It came, came back, or says something else than before."""

    def client_gone(self, client_id: str) -> None:
        """Its presence ended just now, by expiry or good-bye."""

    def client_lost(self, client_id: str) -> None:
        """The verdict: it is gone and has had the time to come back."""


class Attendance:
    def __init__(self, context: Context, observer: Observer) -> None:
        self._bus: Bus = context.bus
        self._lease_s = context.settings.lease_s
        self._context = context
        self._observer = observer
        self._started = time.monotonic()
        self._verdicts: dict[str, asyncio.TimerHandle] = {}
        self.clients: dict[str, Presence] = {}

    async def start(self) -> None:
        """Returns when everybody who is there is known."""
        known = asyncio.get_running_loop().create_future()
        self._context.spawn(self._watch(known), "attendance")
        self._bus.reconnected.append(self._reconnected)
        await known

    def stop(self) -> None:
        if self._reconnected in self._bus.reconnected:
            self._bus.reconnected.remove(self._reconnected)
        for timer in self._verdicts.values():
            timer.cancel()
        self._verdicts.clear()

    def judge(self, client_ids: Iterable[str]) -> None:
        """Those of them that are not there get their verdict, after one lease: they may just be about to come."""
        for client_id in client_ids:
            if client_id not in self.clients and client_id not in self._verdicts:
                self._call_at(time.monotonic() + self._lease_s, client_id)

    def _earliest(self) -> float:
        return max(self._started, self._bus.connected_since) + self._lease_s

    def _call_at(self, monotonic: float, client_id: str) -> None:
        delay = max(monotonic - time.monotonic(), 0.0)
        loop = asyncio.get_running_loop()
        self._verdicts[client_id] = loop.call_later(delay, self._verdict, client_id, time.monotonic() + delay)

    def _verdict(self, client_id: str, due: float) -> None:
        del self._verdicts[client_id]
        if client_id in self.clients:
            return
        now = time.monotonic()
        if not self._bus.nc.is_connected or now - due > self._lease_s / 2:
            self._call_at(
                now + self._lease_s, client_id
            )  # the bus, or this process itself, was away for a while
        elif now < self._earliest() - CLOCK_S:
            self._call_at(self._earliest(), client_id)
        else:
            self._observer.client_lost(client_id)

    async def _watch(self, known: "asyncio.Future[None]") -> None:
        async for seen in presence.watch(self._bus):
            if seen is None:
                known.set_result(None)
            elif seen[1] is None:
                self._gone(seen[0])
            elif self.clients.get(seen[0]) != seen[1]:
                self.clients[seen[0]] = seen[1]
                self._observer.client_changed(seen[1])

    def _gone(self, client_id: str) -> None:
        if self.clients.pop(client_id, None) is not None:
            self._observer.client_gone(client_id)
        if client_id not in self._verdicts:
            self._call_at(self._earliest(), client_id)

    def _reconnected(self) -> None:
        """The mark of an expiry lives for a minute: after a longer absence from the bus it is not there to be heard."""
        self._context.spawn(self._compare(), "attendance after reconnection")

    async def _compare(self) -> None:
        await asyncio.sleep(self._lease_s)
        try:
            found, _ = await self._bus.last_of_each(subjects.presence("*"), stream=f"KV_{subjects.CLIENTS}")
        except (PerfectError, NatsError, TimeoutError) as error:  # away again: the next reconnection compares
            self._context.log.warning("the clients' presence could not be read", error=repr(error))
            return
        alive = {subject.rpartition(".")[2] for subject, (_, data) in found.items() if data}
        for client_id in [client_id for client_id in self.clients if client_id not in alive]:
            self._gone(client_id)
