"""What a worker that serves deployments says of them: the deployments with their flows, their schedules beside."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from perfect_bus import Bus
from perfect_bus.presence import present
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
        self._by = f"serve() of {options.name}"

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
                    self._say(f"the schedules of {one.name} were refused: {error.detail}")
                else:
                    self._declared.append(one)
                    self._announce(one)

    async def _declare(self, one: Served) -> None:
        declared = DeclareSchedules(
            flow=one.flow, schedules=one.schedules, deployment=one.deployment.name, by=self._by
        )
        reply = await self._bus.ask(subjects.command("registry", "declare_schedules"), declared)
        await self._resume(_views(bytes(reply.value)))

    async def review(self) -> None:
        """Somebody who looked for others before this worker was to be seen may have paused its schedules since."""
        with contextlib.suppress(PerfectError):
            for one in self._declared:
                await self._resume(await self._schedules(one))

    async def _resume(self, views: list[ScheduleView]) -> None:
        """What a `serve` has paused at its end; what is paused by a person stays as it is."""
        for view in views:
            if view.paused and view.paused_by == BY and view.spec.active:
                resume = ResumeSchedule(schedule_id=view.id, by=self._by)
                await self._bus.ask(subjects.command("registry", "resume_schedule"), resume)

    async def _schedules(self, one: Served) -> list[ScheduleView]:
        if not one.schedules:
            return []
        asked = ShowSchedules(flow=ids.flow_id(one.flow), deployment=one.deployment.name)
        reply = await self._bus.ask(subjects.command("registry", "schedules"), asked)
        return _views(bytes(reply.value))

    def _announce(self, one: Served) -> None:
        if self._options.announces:
            from perfect_schemas.schedule import describe

            rules = "; ".join(describe(spec) for spec in one.schedules if spec.active)
            when = f", and runs by itself: {rules}" if rules else ""
            self._say(f"{one.name} is served{when}. `perfect trigger '{one.name}'` starts a run, Ctrl-C ends")

    async def pause(self, client_id: str, say_draining: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """At the end of this worker, the client `client_id`: nobody is to expect runs of what nobody serves any more.

        say_draining: from then on no other worker counts on this one, so that of several that end at once the last one
        pauses. Who comes while it does so is found by looking again.
        """
        if not self._options.pause_on_shutdown:
            return
        mine = [one for one in self._declared if one.schedules]
        paused = 0
        with contextlib.suppress(PerfectError, TimeoutError):
            async with asyncio.timeout(PAUSE_S):
                if mine:
                    await say_draining()
                    others = await self._others(client_id)
                    for one in mine:
                        if one.name in others:
                            self._say(f"the schedules of {one.name} go on: {others[one.name]} serves it, too")
                        else:
                            paused += await self._pause(one)
                if paused:
                    others = await self._others(client_id)
                    for one in mine:
                        if one.name in others:
                            await self._resume(await self._schedules(one))
        if paused:
            self._say(f"schedules paused until they are served again: {paused}")

    async def _others(self, client_id: str) -> dict[str, str]:
        """Deployment → a worker that serves it besides this one, and does not end."""
        return {
            name: one.name
            for one in await present(self._bus)
            if one.client_id != client_id and not one.draining
            for name in one.deployments
        }

    async def _pause(self, one: Served) -> int:
        active = [view for view in await self._schedules(one) if not view.paused]
        for view in active:
            pause = PauseSchedule(schedule_id=view.id, by=BY)
            await self._bus.ask(subjects.command("registry", "pause_schedule"), pause)
        return len(active)
