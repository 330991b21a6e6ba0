"""The shell around `clients`: follows who is there and what is said of them, and says who was lost."""

from typing import TYPE_CHECKING

from perfect_registry import clients
from perfect_registry.clients import Client
from perfect_runtime.attendance import Attendance
from perfect_runtime.decider import Aggregate, handle
from perfect_runtime.service import Context
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import Presence

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.follow import Following

STREAM = "DEFS"


class Roll:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._bus = context.bus
        self._clients: dict[str, Aggregate[Client]] = {}
        self._following: Following | None = None
        self.attendance = Attendance(context, self)

    async def start(self) -> None:
        last, seq = await self._bus.last_of_each(subjects.ALL_CLIENTS, stream=STREAM)
        for subject, (at, data) in last.items():
            self._apply(subject.rpartition(".")[2], data, at)

        async def heard(msg: "Msg", at: int) -> None:
            client_id = msg.subject.rpartition(".")[2]
            client = self._apply(client_id, msg.data, at)
            if client is not None and client.connected:
                self.attendance.judge([client_id])

        self._following = await self._bus.follow(STREAM, heard, after=seq, subject=subjects.ALL_CLIENTS)
        await self.attendance.start()
        for client_id in [
            client_id for client_id, one in self._clients.items() if one.state and one.state.lost
        ]:
            if client_id not in self.attendance.clients:
                del self._clients[client_id]
        self.attendance.judge(
            client_id
            for client_id, one in self._clients.items()
            if one.state is not None and one.state.connected
        )

    async def stop(self) -> None:
        self.attendance.stop()
        if self._following is not None:
            await self._following.unsubscribe()

    def client_changed(self, client: Presence) -> None:
        aggregate = self._clients.get(client.client_id)
        if aggregate is not None and aggregate.state is not None and aggregate.state.lost:
            self._context.spawn(self._find_again(aggregate, client), "client found again")

    def client_gone(self, client_id: str) -> None:
        """The verdict follows."""

    def client_lost(self, client_id: str) -> None:
        self._context.spawn(self._lose(client_id), "client lost")

    async def _lose(self, client_id: str) -> None:
        aggregate = self._aggregate(client_id)
        await handle(
            self._bus,
            aggregate,
            lambda client: clients.lose(client, client_id, event_id=ids.uuid7(), now=self._context.clock()),
        )

    async def _find_again(self, aggregate: Aggregate[Client], presence: Presence) -> None:
        await handle(
            self._bus,
            aggregate,
            lambda client: clients.find_again(
                client, presence, event_id=ids.uuid7(), now=self._context.clock()
            ),
        )

    def _apply(self, client_id: str, data: bytes, seq: int) -> Client | None:
        """Who said good-bye is forgotten: many come and go, and their events are on the stream."""
        aggregate = self._aggregate(client_id)
        aggregate.apply(codec.decode(data), seq)
        client = aggregate.state
        if client is None or not (client.connected or client.lost):
            del self._clients[client_id]
        return client

    def _aggregate(self, client_id: str) -> Aggregate[Client]:
        found = self._clients.get(client_id)
        if found is None:
            found = self._clients[client_id] = Aggregate(subjects.client(client_id), clients.evolve)
        return found
