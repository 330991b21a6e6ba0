"""What a worker that serves deployments says of them: the deployments with their flows, their schedules beside."""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from perfect_bus import Bus
from perfect_schemas import ids, subjects
from perfect_schemas.commands import RegisterFlow
from perfect_schemas.commands.schedule import (
    DeclareSchedules,
    PauseSchedule,
    ResumeSchedule,
    ScheduleView,
    ShowSchedules,
)
from perfect_schemas.errors import PerfectError, Rejected
from perfect_sdk.worker.options import Served, WorkerOptions

BY = "end of serve()"
PAUSE_S = 2.0

_views = msgspec.json.Decoder(list[ScheduleView]).decode


class Deployments:
    """Of the flows of one worker; nothing to say for a worker that serves files."""

    def __init__(self, bus: Bus, options: WorkerOptions, say: Callable[[str], None]) -> None:
        self._bus = bus
        self._options = options
        self._say = say
        self._declared: list[Served] = []

    def with_deployments(self, definition: RegisterFlow) -> RegisterFlow:
        """The registration of a flow with what is served of it."""
        found = [one.deployment for one in self._options.served if one.flow == definition.name]
        return msgspec.structs.replace(definition, deployments=found) if found else definition

    async def declare(self, definition: RegisterFlow) -> None:
        """The flow is registered: now its schedules. Those that an earlier `serve` has paused at its end go on."""
        for one in self._options.served:
            if one.flow == definition.name:
                try:
                    await self._declare(one)
                except Rejected as error:
                    self._say(
                        f"the schedules of {one.flow}/{one.deployment.name} were refused: {error.detail}"
                    )
                else:
                    self._declared.append(one)
                    self._announce(one)

    async def _declare(self, one: Served) -> None:
        by = f"serve() of {self._options.name}"
        declared = DeclareSchedules(
            flow=one.flow, schedules=one.schedules, deployment=one.deployment.name, by=by
        )
        reply = await self._bus.ask(subjects.command("registry", "declare_schedules"), declared)
        for view in _views(bytes(reply.value)):
            if view.paused and view.paused_by == BY and view.spec.active:
                resume = ResumeSchedule(schedule_id=view.id, by=by)
                await self._bus.ask(subjects.command("registry", "resume_schedule"), resume)

    def _announce(self, one: Served) -> None:
        if self._options.announces:
            from perfect_schemas.schedule import describe

            name = f"{one.flow}/{one.deployment.name}"
            rules = "; ".join(describe(spec) for spec in one.schedules if spec.active)
            when = f", and runs by itself: {rules}" if rules else ""
            self._say(f"{name} is served{when}. `perfect trigger '{name}'` starts a run, Ctrl-C ends")

    async def pause(self) -> None:
        """At the end: nobody is to expect runs of them now. What is paused by a person stays as it is."""
        if not self._options.pause_on_shutdown:
            return
        paused = 0
        with contextlib.suppress(PerfectError, TimeoutError):
            async with asyncio.timeout(PAUSE_S):
                for one in self._declared:
                    paused += await self._pause(one)
        if paused:
            self._say(f"schedules paused until they are served again: {paused}")

    async def _pause(self, one: Served) -> int:
        if not one.schedules:
            return 0
        asked = ShowSchedules(flow=ids.flow_id(one.flow), deployment=one.deployment.name)
        reply = await self._bus.ask(subjects.command("registry", "schedules"), asked)
        active = [view for view in _views(bytes(reply.value)) if not view.paused]
        for view in active:
            pause = PauseSchedule(schedule_id=view.id, by=BY)
            await self._bus.ask(subjects.command("registry", "pause_schedule"), pause)
        return len(active)
