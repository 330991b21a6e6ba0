"""The commands about saved queries: `perfect.cmd.registry.save_query`, `.remove_query`, `.queries`."""

import msgspec

from perfect_registry import saved_queries
from perfect_runtime.answers import Answers
from perfect_runtime.folds import Folds
from perfect_runtime.service import Context
from perfect_schemas import ids, subjects
from perfect_schemas.commands import Done, RemoveQuery, Reply, SaveQuery

_decode_save = msgspec.json.Decoder(SaveQuery).decode
_decode_remove = msgspec.json.Decoder(RemoveQuery).decode


class QueryReplies:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._kept = Folds(context.bus, subjects.saved_query, saved_queries.evolve)
        self._answers = Answers(context.bus)

    async def start(self) -> None:
        await self._kept.start()
        await self._answers.commands(
            "registry",
            {"save_query": self.save, "remove_query": self.remove, "queries": self.queries},
        )

    async def stop(self) -> None:
        await self._answers.stop()
        await self._kept.stop()

    async def save(self, data: bytes) -> Reply:
        command = _decode_save(data)
        await self._kept.handle(
            ids.query_id(command.name),
            lambda kept: saved_queries.save(kept, command, event_id=ids.uuid7(), now=self._context.clock()),
        )
        return Reply.of(Done())

    async def remove(self, data: bytes) -> Reply:
        command = _decode_remove(data)
        await self._kept.handle(
            ids.query_id(command.name),
            lambda kept: saved_queries.remove(kept, command, event_id=ids.uuid7(), now=self._context.clock()),
        )
        return Reply.of(Done())

    async def queries(self, _: bytes) -> Reply:
        return Reply.of(sorted(self._kept.all(), key=lambda one: one.name.casefold()))
