"""The commands about schedules: `perfect.cmd.registry.{save,pause,resume,remove}_schedule`, `.declare_schedules`,
`.schedules`, `.schedule`.
"""

from collections.abc import Callable, Sequence

import msgspec

from perfect_registry import schedules
from perfect_registry.schedules import Stamp
from perfect_runtime import occurrence
from perfect_runtime.answers import Answers
from perfect_runtime.definitions import Flows
from perfect_runtime.folds import Folds
from perfect_runtime.service import Context
from perfect_schemas import ids, subjects
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

_save = msgspec.json.Decoder(SaveSchedule).decode
_declare = msgspec.json.Decoder(DeclareSchedules).decode
_pause = msgspec.json.Decoder(PauseSchedule).decode
_resume = msgspec.json.Decoder(ResumeSchedule).decode
_remove = msgspec.json.Decoder(RemoveSchedule).decode
_show_all = msgspec.json.Decoder(ShowSchedules).decode
_show = msgspec.json.Decoder(ShowSchedule).decode


class ScheduleReplies:
    def __init__(self, context: Context, flows: Flows) -> None:
        self._context = context
        self._flows = flows
        self._kept = Folds(context.bus, subjects.schedule, fold.evolve)
        self._answers = Answers(context.bus)

    async def start(self) -> None:
        await self._kept.start()
        await self._answers.commands(
            "registry",
            {
                "save_schedule": self.save,
                "declare_schedules": self.declare,
                "pause_schedule": self.pause,
                "resume_schedule": self.resume,
                "remove_schedule": self.remove,
                "schedules": self.show_all,
                "schedule": self.show,
            },
        )

    async def stop(self) -> None:
        await self._answers.stop()
        await self._kept.stop()

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
        return Reply.of(await self._save(flow, command.spec, command.by, from_code=False))

    async def declare(self, data: bytes) -> Reply:
        try:
            command = _declare(data)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"these are no schedules: {error}") from error
        specs = schedules.declared(command.schedules, command.deployment)
        flow = await self._flow(command.flow)
        return Reply.of(await self.keep(flow, specs, command.deployment, command.by))

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
        return Reply.of(Done())

    async def show_all(self, data: bytes) -> Reply:
        query = _show_all(data)
        now = self._context.clock()
        found = [
            schedules.view(one, now)
            for one in self._present()
            if query.flow is None or query.flow in (one.flow_id, one.flow_name)
            if query.deployment is None or query.deployment == one.spec.deployment
        ]
        return Reply.of(sorted(found, key=lambda one: (one.flow_name.casefold(), one.name)))

    async def show(self, data: bytes) -> Reply:
        wanted = _show(data).schedule
        schedule_id = wanted
        if not ids.is_id(wanted):
            flow, _, name = wanted.rpartition("/")
            schedule_id = ids.schedule_id(ids.flow_id(flow), name)
        found = await self._kept.find(schedule_id)
        if found is None or found.removed:
            raise NotFound(f"there is no schedule {wanted[:200]!r}")
        return Reply.of(schedules.view(found, self._context.clock()))

    # -- doing

    async def _save(self, flow: Flow, spec: ScheduleSpec, by: str, *, from_code: bool) -> ScheduleView:
        state, stored = await self._kept.handle(
            ids.schedule_id(flow.id, spec.name),
            lambda one: schedules.save(
                one, flow, spec, self._stamp(by), made_by="code" if from_code else "api"
            ),
        )
        if stored:
            self._context.log.info("schedule saved", flow=flow.name, schedule=spec.name)
        assert state is not None
        return schedules.view(state, self._context.clock())

    async def _change(self, schedule_id: str, decide: Callable[[Schedule | None], Sequence[Event]]) -> Reply:
        _check_id(schedule_id)
        state, _ = await self._kept.handle(schedule_id, decide)
        assert state is not None
        return Reply.of(schedules.view(state, self._context.clock()))

    async def _take_away(self, schedule_id: str, by: str, reason: str) -> None:
        _check_id(schedule_id)
        await self._kept.handle(schedule_id, lambda one: schedules.remove(one, self._stamp(by), reason))

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

    def _present(self) -> list[Schedule]:
        return [one for one in self._kept.all() if not one.removed]

    def _stamp(self, by: str) -> Stamp:
        return Stamp(now=self._context.clock(), event_id=ids.uuid7(), by=by)


def _check_id(schedule_id: str) -> None:
    """Raises NotFound."""
    if not ids.is_id(schedule_id):
        raise NotFound(f"there is no schedule {schedule_id[:200]!r}")
