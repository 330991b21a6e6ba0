"""The commands about variables: `perfect.cmd.registry.{set_variable, remove_variable, variable, variables}`."""

import msgspec

from perfect_registry import variables
from perfect_runtime.answers import Answers
from perfect_runtime.folds import Folds
from perfect_runtime.service import Context
from perfect_schemas import ids, subjects
from perfect_schemas.commands import Done, RemoveVariable, Reply, SetVariable, ShowVariable
from perfect_schemas.errors import InvalidInput, NotFound

_decode_set = msgspec.json.Decoder(SetVariable).decode
_decode_remove = msgspec.json.Decoder(RemoveVariable).decode
_decode_show = msgspec.json.Decoder(ShowVariable).decode


class VariableReplies:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._kept = Folds(context.bus, subjects.variable, variables.evolve)
        self._answers = Answers(context.bus)

    async def start(self) -> None:
        await self._kept.start()
        await self._answers.commands(
            "registry",
            {
                "set_variable": self.set,
                "remove_variable": self.remove,
                "variable": self.variable,
                "variables": self.variables,
            },
        )

    async def stop(self) -> None:
        await self._answers.stop()
        await self._kept.stop()

    async def set(self, data: bytes) -> Reply:
        try:
            command = _decode_set(data)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"this is no variable: {error}") from error
        variables.check(command)
        state, _ = await self._kept.handle(
            ids.variable_id(command.name),
            lambda kept: variables.put(kept, command, event_id=ids.uuid7(), now=self._context.clock()),
        )
        assert state is not None
        return Reply.of(state.view)

    async def remove(self, data: bytes) -> Reply:
        command = _decode_remove(data)
        await self._kept.handle(
            ids.variable_id(command.name),
            lambda kept: variables.remove(kept, command, event_id=ids.uuid7(), now=self._context.clock()),
        )
        return Reply.of(Done())

    async def variable(self, data: bytes) -> Reply:
        name = _decode_show(data).name
        found = await self._kept.find(ids.variable_id(name))
        if found is None:
            raise NotFound(f"there is no variable {name[: variables.NAME_LENGTH]!r}")
        return Reply.of(found.view)

    async def variables(self, _: bytes) -> Reply:
        return Reply.of(sorted((one.view for one in self._kept.all()), key=lambda one: one.name))
