"""The runs that schedules start."""

from collections.abc import Iterable

import msgspec

from perfect_engine import deployment
from perfect_engine import run as rules
from perfect_engine.parameters import Checker
from perfect_engine.process import Process
from perfect_runtime.decider import handle
from perfect_runtime.definitions import Flows
from perfect_schemas import queries, subjects
from perfect_schemas.commands import TriggerRun
from perfect_schemas.errors import NotFound, Rejected
from perfect_schemas.events.schedule import ScheduleFired
from perfect_schemas.folds.flow import Flow
from perfect_schemas.folds.schedule import Schedule


class ScheduledRuns:
    def __init__(self, process: Process, flows: Flows, checker: Checker) -> None:
        self._process = process
        self._bus = process.bus
        self._flows = flows
        self._checker = checker

    async def refusal(self, schedule: Schedule) -> str:
        """Why a run of the schedule would be refused now; empty: it would not."""
        try:
            flow, command = await self._command(schedule, "")
            if deployment.checks_parameters(command, flow):
                self._check(flow, command)
        except Rejected as error:
            return error.detail
        return ""

    def _check(self, flow: Flow, command: TriggerRun) -> None:
        self._checker.check(flow, command.parameters)

    async def start(self, schedule: Schedule, fired: ScheduleFired) -> None:
        """Repeating it starts nothing new."""
        assert fired.run_id is not None
        flow, command = await self._command(schedule, fired.run_id)
        command = msgspec.structs.replace(command, scheduled_for=fired.due_at, backfill=fired.backfill)
        run = self._process.board.run(fired.run_id)
        await handle(self._bus, run, lambda life: rules.schedule(life, command, flow, self._process.stamp()))

    async def is_on_bus(self, run_id: str) -> bool:
        return (
            self._process.board.run(run_id).state is not None
            or await self._bus.last(subjects.run(run_id)) is not None
        )

    async def existing(self, run_ids: Iterable[str]) -> set[str]:
        """Those of the runs that there are, on the bus or in the read model. Raises ServiceUnavailable."""
        found, old = set(), []
        for run_id in run_ids:
            if await self.is_on_bus(run_id):
                found.add(run_id)
            elif self._process.past.may_be_gone(run_id):
                old.append(run_id)
        if old:
            query = queries.RunPage(ids=old, limit=len(old))
            reply = await self._bus.ask(subjects.query("runs"), query)
            found.update(run.id for run in msgspec.json.decode(reply.value, type=queries.Runs).runs)
        return found

    async def cancel(self, run_ids: Iterable[str], by: str) -> None:
        for run_id in run_ids:
            run = self._process.board.run(run_id)
            try:
                await handle(self._bus, run, lambda life: rules.cancel(life, by, self._process.stamp()))
            except Rejected:  # it has ended meanwhile
                continue
            await self._process.tell_cancelled(run.state)

    async def _command(self, schedule: Schedule, run_id: str) -> tuple[Flow, TriggerRun]:
        """Raises NotFound."""
        flow = self._flows.get(schedule.flow_id)
        name = schedule.spec.deployment
        if flow is None or flow.hidden or (name is not None and name not in flow.deployments):
            flow = await self._flows.find(schedule.flow_id)
        if flow is None or flow.hidden:
            raise NotFound(f"there is no flow {schedule.flow_name!r}")
        command = TriggerRun(
            run_id=run_id,
            flow=flow.id,
            configuration=schedule.spec.configuration,
            parameters=schedule.spec.parameters,
            tags=schedule.spec.tags,
            origin="schedule",
            deployment=name,
            schedule_id=schedule.id,
        )
        return flow, deployment.applied(command, flow)
