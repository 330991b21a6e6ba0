"""The engine's commands `perfect.cmd.engine.trigger` and `.live`."""

import msgspec

from perfect_bus.append import check_size
from perfect_engine import deployment, idempotency
from perfect_engine import run as rules
from perfect_engine.invalid import TEXT_LENGTH, of_message
from perfect_engine.parameters import Checker
from perfect_engine.process import Process
from perfect_engine.run_replies import QUEUE
from perfect_runtime.definitions import Flows
from perfect_runtime.service import Context
from perfect_schemas import ids, subjects
from perfect_schemas.codec import encode
from perfect_schemas.commands import LiveRuns, Reply, Triggered, TriggerRun
from perfect_schemas.errors import FieldError, InvalidInput, NotFound, refuse
from perfect_schemas.folds.flow import Flow
from perfect_schemas.streams import MAX_PAYLOAD_BYTES

REFUSED = "the run cannot be triggered"
NO_ZONE = "needs a time zone, as in 2026-05-01T12:00:00Z or 2026-05-01T12:00:00+02:00"
_trigger = msgspec.json.Decoder(TriggerRun).decode
_live = msgspec.json.Decoder(LiveRuns).decode


class Replies:
    def __init__(self, context: Context, flows: Flows, process: Process, checker: Checker) -> None:
        self._bus = context.bus
        self._flows = flows
        self._process = process
        self._checker = checker

    async def start(self) -> None:
        for verb, answer in (("trigger", self.trigger), ("live", self.live)):
            await self._bus.answer(subjects.command("engine", verb), answer, queue=QUEUE)

    async def trigger(self, data: bytes) -> Reply:
        with of_message(REFUSED):
            command = _trigger(data)
        given = command.parameters
        flow, command = await self._flow_of(command)
        _check(command)
        if deployment.checks_parameters(command, flow):
            flow = await self._check_parameters(flow, command)
        if len(data) > MAX_PAYLOAD_BYTES // 2:
            [event] = rules.schedule(None, command, flow, self._process.stamp())
            check_size(subjects.run(command.run_id), encode(event))
        is_first = True
        if command.idempotency_key is not None:
            run_id = await idempotency.reserve(
                self._bus, flow.id, command.idempotency_key, command.run_id, given
            )
            is_first = run_id == command.run_id
            command = msgspec.structs.replace(command, run_id=run_id)
        return await self._schedule(command, flow, is_first=is_first)

    async def _flow_of(self, command: TriggerRun) -> tuple[Flow, TriggerRun]:
        """The flow, and the command with what its deployment adds. Raises NotFound."""
        flow = await self._known(command.flow)
        named = deployment.split(command.flow) if flow is None and command.deployment is None else None
        if named is not None:
            flow = await self._known(named[0])
            command = msgspec.structs.replace(command, deployment=named[1])
        if flow is None or flow.hidden:
            raise NotFound(
                f"there is no flow {command.flow[:TEXT_LENGTH]!r}: "
                + ("it was removed" if flow else "start a worker that serves it, or register it first")
            )
        if command.deployment is not None and command.deployment not in flow.deployments:
            flow = await self._flows.find(flow.id) or flow
        return flow, deployment.applied(command, flow)

    async def _known(self, name: str) -> Flow | None:
        flow = self._flows.get(name)
        return await self._flows.find(name) if flow is None or flow.hidden else flow

    async def _check_parameters(self, flow: Flow, command: TriggerRun) -> Flow:
        """Raises InvalidInput. A newer version may have been registered a moment ago: then that one counts."""
        try:
            self._checker.check(flow, command.parameters)
        except InvalidInput:
            newest = await self._flows.find(flow.id)
            if newest is None or newest.version == flow.version:
                raise
            self._checker.check(newest, command.parameters)
            return newest
        return flow

    async def _schedule(self, command: TriggerRun, flow: Flow, *, is_first: bool) -> Reply:
        """What follows the stored `run.scheduled` is on its way already when this returns."""
        run = self._process.board.run(command.run_id)
        if run.state is None and (known := await self._process.past.view(run.id)) is not None:
            return Reply.of(
                Triggered(
                    run_id=known.id,
                    flow_id=known.flow_id,
                    flow_name=known.flow_name,
                    flow_version=known.flow_version or "",
                    state=known.state,
                    created_at=known.created_at,
                    new=is_first,
                )
            )
        await self._process.beginnings.schedule(
            run, lambda life: rules.schedule(life, command, flow, self._process.stamp())
        )
        life = run.state
        assert life is not None
        if life.parent_run_id is not None:
            self._process.family.check_orphan(run)
        return Reply.of(
            Triggered(
                run_id=life.id,
                flow_id=life.flow_id,
                flow_name=life.flow_name,
                flow_version=life.flow_version or "",
                state=life.state.value,
                created_at=life.created_at,
                new=is_first,
                parameters=life.parameters,
                tags=life.tags,
                deployment=life.deployment,
            ),
            seq=run.seq,
        )

    async def live(self, data: bytes) -> Reply:
        return Reply.of(sorted(self._process.board.flows.get(_live(data).flow_id, ())))


def _check(command: TriggerRun) -> None:
    errors = []
    if not ids.is_id(command.run_id):
        errors.append(FieldError("run_id", "must be a UUID in the dashed lower-case form"))
    if command.parent_run_id is not None and not ids.is_id(command.parent_run_id):
        errors.append(FieldError("parent_run_id", "must be a run's id"))
    if command.scheduled_for is not None and command.scheduled_for.tzinfo is None:
        errors.append(FieldError("scheduled_for", NO_ZONE))
    for n, tag in enumerate(command.tags):
        if not tag.strip() or len(tag) > TEXT_LENGTH:
            errors.append(FieldError(f"tags.{n}", f"must have 1 to {TEXT_LENGTH} characters"))
    if command.name is not None and not 0 < len(command.name) <= TEXT_LENGTH:
        errors.append(FieldError("name", f"must have 1 to {TEXT_LENGTH} characters"))
    if command.idempotency_key is not None and not 0 < len(command.idempotency_key) <= TEXT_LENGTH:
        errors.append(FieldError("idempotency_key", f"must have 1 to {TEXT_LENGTH} characters"))
    refuse(REFUSED, errors)
