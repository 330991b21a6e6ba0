"""How the gateway asks the other services: one method a kind of question, on top of `Bus.ask`.

Projector answers stay the bytes that they came as wherever a route only passes them on.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from nats.errors import Error as NatsError

from perfect_bus import Bus
from perfect_gateway.watched import asked
from perfect_schemas import queries, subjects
from perfect_schemas.commands import Health, Reply
from perfect_schemas.errors import NotFound, ServiceUnavailable
from perfect_schemas.ids import uuid7

T = TypeVar("T")

QUERY_S = 5.0
INTEGRITY_S = 120.0  # over a log of tens of millions of events
COMMAND_S = 10.0
HEALTH_S = 1.0
SQL_S = 3600.0  # the projector's own limits end a query, and its wait for a turn, well before
AGAIN_S = 0.01
YOUNG_S = 1.0
_decode_reply = msgspec.json.Decoder(Reply).decode


class Asker:
    """Raises what `Bus.ask` raises: the service's own problem, or ServiceUnavailable when nobody answers in time."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus

    async def query(self, name: str, query: msgspec.Struct) -> Reply:
        try:
            return await self.bus.ask(subjects.query(name), query, timeout_s=QUERY_S)
        except ServiceUnavailable as error:
            health = await self.health("projector")
            if health.status != "degraded" or not health.detail:
                raise
            raise ServiceUnavailable(f"the projector answers no queries now: {health.detail}") from error

    async def of_run(self, name: str, query: msgspec.Struct, run_id: str) -> Reply:
        """The answer about one run, also in the moment after its trigger, when the projector is just writing it.

        Always from the read model, so that what is read later is never older. Raises NotFound for a run that the bus
        does not know either, ServiceUnavailable when the read model is more than a second behind.
        """
        try:
            return await self.query(name, query)
        except NotFound:
            if not await self.bus.read_raw(subjects.run(run_id), limit=1):
                raise
        deadline = asyncio.get_running_loop().time() + YOUNG_S
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(AGAIN_S)
            with contextlib.suppress(NotFound):
                return await self.query(name, query)
        raise ServiceUnavailable(f"run {run_id} exists, but the read model has not reached it yet; ask again")

    async def value(self, name: str, query: msgspec.Struct, kind: type[T]) -> tuple[T, int | None]:
        """The decoded answer, and the EVENTS sequence that it is as of."""
        reply = await self.query(name, query)
        return msgspec.json.decode(reply.value, type=kind), reply.seq

    async def value_when(
        self,
        name: str,
        query: msgspec.Struct,
        kind: type[T],
        fits: Callable[[T, int], bool],
        *,
        within_s: float = 1.0,
    ) -> T:
        """The answer once `fits(value, EVENTS sequence it is as of)`, or what it is after `within_s` seconds.

        For what follows from an event that the gateway has seen and the projector is just writing. Raises NotFound when
        there is none even then.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while True:
            try:
                value, as_of = await self.value(name, query, kind)
                if as_of is None or fits(value, as_of) or loop.time() > deadline:
                    return value
            except NotFound:
                if loop.time() > deadline:
                    raise
            await asyncio.sleep(AGAIN_S)

    async def sql(self, query: queries.Sql) -> queries.SqlResult:
        """Asked once: a second time would run it a second time. Cancelled, the query is stopped."""
        query = msgspec.structs.replace(query, query_id=uuid7())
        asking = self.bus.ask(subjects.query("sql"), query, timeout_s=SQL_S, try_s=SQL_S)
        reply = await asked(self.bus, asking, query.query_id)
        return msgspec.json.decode(reply.value, type=queries.SqlResult)

    async def integrity(self, query: queries.Integrity) -> queries.IntegrityReport:
        """A repeat waits for the report that is being made."""
        reply = await self.bus.ask(subjects.query("integrity"), query, timeout_s=INTEGRITY_S)
        return msgspec.json.decode(reply.value, type=queries.IntegrityReport)

    async def snapshot(self) -> queries.SqlSnapshot:
        asking = self.bus.ask(
            subjects.query("snapshot"), queries.SnapshotFile(), timeout_s=SQL_S, try_s=SQL_S
        )
        reply = await asked(self.bus, asking)
        return msgspec.json.decode(reply.value, type=queries.SqlSnapshot)

    async def command(self, service: str, verb: str, command: Any, kind: type[T]) -> T:
        """The command is repeated until it is answered; what it creates carries an id of ours, so nothing doubles."""
        reply = await self.bus.ask(subjects.command(service, verb), command, timeout_s=COMMAND_S)
        return msgspec.json.decode(reply.value, type=kind)

    async def health(self, service: str) -> Health:
        """Asked once, never repeated: who does not answer within a second is missing."""
        try:
            message = await self.bus.nc.request(subjects.health(service), b"{}", timeout=HEALTH_S)
            return msgspec.json.decode(_decode_reply(message.data).value, type=Health)
        except (NatsError, TimeoutError, msgspec.DecodeError) as error:
            return Health(name=service, status="missing", detail=f"does not answer ({type(error).__name__})")
