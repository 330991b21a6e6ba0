"""The commands about schedules: `perfect.cmd.registry.{save,pause,resume,remove}_schedule`, `.declare_schedules`,
`.schedules`, `.schedule`.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_registry import schedules
from perfect_registry.schedules import Stamp
from perfect_runtime import occurrence
from perfect_runtime.decider import Aggregate, handle, read
from perfect_runtime.definitions import Flows
from perfect_runtime.service import Context
from perfect_schemas import codec, ids, subjects
from perfect_schemas.codec import encode
from perfect_schemas.commands import (
    DeclareSchedules,
    Done,
    PauseSchedule,
    RemoveSchedule,
    Reply,
    ResumeSchedule,
    SaveSchedule,
    ScheduleView,
    ShowSchedule,
    ShowSchedules,
)
from perfect_schemas.envelope import Event
from perfect_schemas.errors import InvalidInput, NotFound
from perfect_schemas.folds import schedule as fold
from perfect_schemas.folds.flow import Flow
from perfect_schemas.folds.schedule import Schedule
from perfect_schemas.schedule import ScheduleSpec

if TYPE_CHECKING:
    from nats.aio.msg import Msg

STREAM = "DEFS"
_save = msgspec.json.Decoder(SaveSchedule).decode
_declare = msgspec.json.Decoder(DeclareSchedules).decode
_pause = msgspec.json.Decoder(PauseSchedule).decode
_resume = msgspec.json.Decoder(ResumeSchedule).decode
_remove = msgspec.json.Decoder(RemoveSchedule).decode
_show_all = msgspec.json.Decoder(ShowSchedules).decode
_show = msgspec.json.Decoder(ShowSchedule).decode


class ScheduleReplies:
    """Keeps the fold of every schedule."""

    def __init__(self, context: Context, flows: Flows) -> None:
        self._context = context
        self._bus = context.bus
        self._flows = flows
        self._kept: dict[str, Aggregate[Schedule]] = {}
        self._subscriptions: list[Any] = []

    async def start(self) -> None:
        seq = 0
        for seq, subject, data in await self._bus.read_raw(subjects.ALL_SCHEDULES, stream=STREAM):
            self._apply(subject, data, seq)

        async def heard(msg: "Msg", at: int) -> None:
            self._apply(msg.subject, msg.data, at)

        self._subscriptions.append(
            await self._bus.follow(STREAM, heard, after=seq, subject=subjects.ALL_SCHEDULES)
        )
        for verb, reply in (
            ("save_schedule", self.save),
            ("declare_schedules", self.declare),
            ("pause_schedule", self.pause),
            ("resume_schedule", self.resume),
            ("remove_schedule", self.remove),
            ("schedules", self.show_all),
            ("schedule", self.show),
        ):
            subject = subjects.command("registry", verb)
            self._subscriptions.append(await self._bus.answer(subject, reply, queue="registry"))

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()
        self._subscriptions.clear()

    def __len__(self) -> int:
        return len(self._present())

    # -- commands

    async def save(self, data: bytes) -> Reply:
        try:
            command = _save(data)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"this is no schedule: {error}") from error
        occurrence.check(command.spec, "spec.")
        flow = await self._flow(command.flow)
        return _reply(await self._save(flow, command.spec, command.by, from_code=False))

    async def declare(self, data: bytes) -> Reply:
        try:
            command = _declare(data)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"these are no schedules: {error}") from error
        specs = schedules.declared(command.schedules, command.deployment)
        flow = await self._flow(command.flow)
        return _reply(await self.keep(flow, specs, command.deployment, command.by))

    async def keep(
        self, flow: Flow, specs: Sequence[ScheduleSpec], deployment: str | None, by: str = ""
    ) -> list[ScheduleView]:
        """These are all that code gives the flow, or the deployment. They have been checked by `schedules.declared`."""
        found = [await self._save(flow, spec, by, from_code=True) for spec in specs]
        for schedule_id in schedules.vanished(self._present(), flow.id, deployment, specs):
            await self._take_away(schedule_id, by, "the flow's code does not declare it any more")
        return sorted(found, key=lambda one: one.name)

    async def drop(self, flow_id: str, deployment: str | None, reason: str) -> None:
        """The flow was removed, or that deployment of it."""
        for one in self._present():
            if one.flow_id == flow_id and deployment in (None, one.spec.deployment):
                await self._take_away(one.id, "", reason)

    async def pause(self, data: bytes) -> Reply:
        command = _pause(data)
        return await self._change(
            command.schedule_id, lambda one: schedules.pause(one, self._stamp(command.by))
        )

    async def resume(self, data: bytes) -> Reply:
        command = _resume(data)
        return await self._change(
            command.schedule_id, lambda one: schedules.resume(one, self._stamp(command.by))
        )

    async def remove(self, data: bytes) -> Reply:
        command = _remove(data)
        await self._take_away(command.schedule_id, command.by, "")
        return _reply(Done())

    async def show_all(self, data: bytes) -> Reply:
        query = _show_all(data)
        now = self._context.clock()
        found = [
            schedules.view(one, now)
            for one in self._present()
            if query.flow is None or query.flow in (one.flow_id, one.flow_name)
            if query.deployment is None or query.deployment == one.spec.deployment
        ]
        return _reply(sorted(found, key=lambda one: (one.flow_name.casefold(), one.name)))

    async def show(self, data: bytes) -> Reply:
        wanted = _show(data).schedule
        schedule_id = wanted
        if not ids.is_id(wanted):
            flow, _, name = wanted.rpartition("/")
            schedule_id = ids.schedule_id(ids.flow_id(flow), name)
        found = (await self._as_stored(schedule_id)).state
        if found is None or found.removed:
            raise NotFound(f"there is no schedule {wanted[:200]!r}")
        return _reply(schedules.view(found, self._context.clock()))

    # -- doing

    async def _save(self, flow: Flow, spec: ScheduleSpec, by: str, *, from_code: bool) -> ScheduleView:
        aggregate = await self._as_stored(ids.schedule_id(flow.id, spec.name))
        stored = await handle(
            self._bus,
            aggregate,
            lambda one: schedules.save(
                one, flow, spec, self._stamp(by), made_by="code" if from_code else "api"
            ),
        )
        if stored:
            self._context.log.info("schedule saved", flow=flow.name, schedule=spec.name)
        assert aggregate.state is not None
        return schedules.view(aggregate.state, self._context.clock())

    async def _change(self, schedule_id: str, decide: Callable[[Schedule | None], Sequence[Event]]) -> Reply:
        aggregate = await self._as_stored(schedule_id)
        await handle(self._bus, aggregate, decide)
        assert aggregate.state is not None
        return _reply(schedules.view(aggregate.state, self._context.clock()))

    async def _take_away(self, schedule_id: str, by: str, reason: str) -> None:
        await handle(
            self._bus,
            await self._as_stored(schedule_id),
            lambda one: schedules.remove(one, self._stamp(by), reason),
        )

    async def _flow(self, name: str) -> Flow:
        flow = self._flows.get(name)
        if flow is None or flow.hidden:
            flow = await self._flows.find(name)
        if flow is None or flow.hidden:
            raise NotFound(
                f"there is no flow {name[:200]!r}: "
                + ("it was removed" if flow else "start a worker that serves it, or register it first")
            )
        return flow

    async def _as_stored(self, schedule_id: str) -> Aggregate[Schedule]:
        """As the stream has it now: what somebody else's answer said a moment ago is not refused. Raises NotFound."""
        if not ids.is_id(schedule_id):
            raise NotFound(f"there is no schedule {schedule_id[:200]!r}")
        return await read(self._bus, self._aggregate(schedule_id), stream=STREAM)

    def _present(self) -> list[Schedule]:
        return [one.state for one in self._kept.values() if one.state is not None and not one.state.removed]

    def _stamp(self, by: str) -> Stamp:
        return Stamp(now=self._context.clock(), event_id=ids.uuid7(), by=by)

    def _aggregate(self, schedule_id: str) -> Aggregate[Schedule]:
        found = self._kept.get(schedule_id)
        if found is None:
            found = self._kept[schedule_id] = Aggregate(subjects.schedule(schedule_id), fold.evolve)
        return found

    def _apply(self, subject: str, data: bytes, seq: int) -> None:
        self._aggregate(subject.rpartition(".")[2]).apply(codec.decode(data), seq)


def _reply(value: object) -> Reply:
    return Reply(value=msgspec.Raw(encode(value)))
