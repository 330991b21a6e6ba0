"""The commands about variables: `perfect.cmd.registry.{set_variable, remove_variable, variable, variables}`."""

import contextlib
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_registry import variables
from perfect_registry.variables import Variable
from perfect_runtime.decider import Aggregate, handle, read
from perfect_runtime.service import Context
from perfect_schemas import codec, ids, subjects
from perfect_schemas.codec import encode
from perfect_schemas.commands import Done, RemoveVariable, Reply, SetVariable, ShowVariable
from perfect_schemas.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from nats.aio.msg import Msg

STREAM = "DEFS"
_decode_set = msgspec.json.Decoder(SetVariable).decode
_decode_remove = msgspec.json.Decoder(RemoveVariable).decode
_decode_show = msgspec.json.Decoder(ShowVariable).decode


class VariableReplies:
    """Keeps the fold of every variable."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._bus = context.bus
        self._kept: dict[str, Aggregate[Variable]] = {}
        self._subscriptions: list[Any] = []

    async def start(self) -> None:
        seq = 0
        for seq, subject, data in await self._bus.read_raw(subjects.ALL_VARIABLES, stream=STREAM):
            self._apply(subject, data, seq)

        async def heard(msg: "Msg", at: int) -> None:
            self._apply(msg.subject, msg.data, at)

        following = await self._bus.follow(STREAM, heard, after=seq, subject=subjects.ALL_VARIABLES)
        self._subscriptions.append(following)
        for verb, reply in (
            ("set_variable", self.set),
            ("remove_variable", self.remove),
            ("variable", self.variable),
            ("variables", self.variables),
        ):
            subject = subjects.command("registry", verb)
            self._subscriptions.append(await self._bus.answer(subject, reply, queue="registry"))

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()
        self._subscriptions.clear()

    async def set(self, data: bytes) -> Reply:
        try:
            command = _decode_set(data)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"this is no variable: {error}") from error
        variables.check(command)
        aggregate = await self._present(command.name)
        await handle(
            self._bus,
            aggregate,
            lambda kept: variables.put(kept, command, event_id=ids.uuid7(), now=self._context.clock()),
        )
        assert aggregate.state is not None
        return _reply(aggregate.state.view)

    async def remove(self, data: bytes) -> Reply:
        command = _decode_remove(data)
        await handle(
            self._bus,
            await self._present(command.name),
            lambda kept: variables.remove(kept, command, event_id=ids.uuid7(), now=self._context.clock()),
        )
        return _reply(Done())

    async def variable(self, data: bytes) -> Reply:
        name = _decode_show(data).name
        found = (await self._present(name)).state
        if found is None:
            raise NotFound(f"there is no variable {name[: variables.NAME_LENGTH]!r}")
        return _reply(found.view)

    async def variables(self, _: bytes) -> Reply:
        kept = [one.state.view for one in self._kept.values() if one.state is not None]
        return _reply(sorted(kept, key=lambda one: one.name))

    async def _present(self, name: str) -> Aggregate[Variable]:
        """As the stream has it now: what was set a moment ago is read."""
        variable_id = ids.variable_id(name)
        aggregate = await read(self._bus, self._aggregate(variable_id), stream=STREAM)
        if not aggregate.seq:  # nobody ever set it: asking for names costs no memory
            self._kept.pop(variable_id, None)
        return aggregate

    def _aggregate(self, variable_id: str) -> Aggregate[Variable]:
        found = self._kept.get(variable_id)
        if found is None:
            found = self._kept[variable_id] = Aggregate(subjects.variable(variable_id), variables.evolve)
        return found

    def _apply(self, subject: str, data: bytes, seq: int) -> None:
        self._aggregate(subject.rpartition(".")[2]).apply(codec.decode(data), seq)


def _reply(value: object) -> Reply:
    return Reply(value=msgspec.Raw(encode(value)))
