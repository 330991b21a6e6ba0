"""The commands about saved queries: `perfect.cmd.registry.save_query`, `.remove_query`, `.queries`."""

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_registry import saved_queries
from perfect_runtime.decider import Aggregate, handle, read
from perfect_runtime.service import Context
from perfect_schemas import codec, ids, subjects
from perfect_schemas.codec import encode
from perfect_schemas.commands import Done, RemoveQuery, Reply, SavedQuery, SaveQuery

if TYPE_CHECKING:
    from nats.aio.msg import Msg

STREAM = "DEFS"
_decode_save = msgspec.json.Decoder(SaveQuery).decode
_decode_remove = msgspec.json.Decoder(RemoveQuery).decode


class QueryReplies:
    """Keeps the fold of every saved query."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._bus = context.bus
        self._kept: dict[str, Aggregate[SavedQuery]] = {}
        self._subscriptions: list[Any] = []

    async def start(self) -> None:
        seq = 0
        for seq, subject, data in await self._bus.read_raw(subjects.ALL_SAVED_QUERIES, stream=STREAM):
            self._apply(subject, data, seq)

        async def heard(msg: "Msg", at: int) -> None:
            self._apply(msg.subject, msg.data, at)

        following = await self._bus.follow(STREAM, heard, after=seq, subject=subjects.ALL_SAVED_QUERIES)
        self._subscriptions.append(following)
        for verb, reply in (
            ("save_query", self.save), ("remove_query", self.remove), ("queries", self.queries)
        ):  # fmt: skip
            subject = subjects.command("registry", verb)
            self._subscriptions.append(await self._bus.answer(subject, reply, queue="registry"))

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()
        self._subscriptions.clear()

    async def save(self, data: bytes) -> Reply:
        command = _decode_save(data)
        await handle(
            self._bus,
            await self._present(command.name),
            lambda kept: saved_queries.save(kept, command, event_id=ids.uuid7(), now=self._context.clock()),
        )
        return _reply(Done())

    async def remove(self, data: bytes) -> Reply:
        command = _decode_remove(data)
        await handle(
            self._bus,
            await self._present(command.name),
            lambda kept: saved_queries.remove(kept, command, event_id=ids.uuid7(), now=self._context.clock()),
        )
        return _reply(Done())

    async def queries(self, _: bytes) -> Reply:
        kept = [one.state for one in self._kept.values() if one.state is not None]
        return _reply(sorted(kept, key=lambda one: one.name.casefold()))

    async def _present(self, name: str) -> Aggregate[SavedQuery]:
        """As the stream has it now: what somebody else's answer said a moment ago is not refused."""
        return await read(self._bus, self._aggregate(ids.query_id(name)), stream=STREAM)

    def _aggregate(self, query_id: str) -> Aggregate[SavedQuery]:
        found = self._kept.get(query_id)
        if found is None:
            found = self._kept[query_id] = Aggregate(subjects.saved_query(query_id), saved_queries.evolve)
        return found

    def _apply(self, subject: str, data: bytes, seq: int) -> None:
        self._aggregate(subject.rpartition(".")[2]).apply(codec.decode(data), seq)


def _reply(value: object) -> Reply:
    return Reply(value=msgspec.Raw(encode(value)))
