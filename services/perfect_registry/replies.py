"""The registry's commands: `perfect.cmd.registry.register` and `.remove`."""

import msgspec

from perfect_registry import deployments, flows, schedules, versions
from perfect_registry.schedules_replies import ScheduleReplies
from perfect_runtime.answers import Answers
from perfect_runtime.definitions import Flows
from perfect_runtime.service import Context
from perfect_schemas import ids, subjects
from perfect_schemas.commands import (
    Done,
    LiveRuns,
    Registered,
    RegisterFlow,
    RemoveDeployment,
    RemoveFlow,
    Reply,
    ShowVersions,
)
from perfect_schemas.errors import Conflicting, InvalidInput, NotFound

_decode_register = msgspec.json.Decoder(RegisterFlow).decode
_decode_remove = msgspec.json.Decoder(RemoveFlow).decode
_decode_undeploy = msgspec.json.Decoder(RemoveDeployment).decode
_decode_versions = msgspec.json.Decoder(ShowVersions).decode
_decode_ids = msgspec.json.Decoder(list[str]).decode


class Replies:
    def __init__(self, context: Context, known: Flows, kept: ScheduleReplies) -> None:
        self._context = context
        self._bus = context.bus
        self._flows = known
        self._schedules = kept
        self._answers = Answers(context.bus)

    async def start(self) -> None:
        await self._answers.commands(
            "registry",
            {
                "register": self.register,
                "remove": self.remove,
                "undeploy": self.undeploy,
                "versions": self.versions,
            },
        )

    async def stop(self) -> None:
        await self._answers.stop()

    async def register(self, data: bytes) -> Reply:
        try:
            command = _decode_register(data)
        except msgspec.ValidationError as error:
            raise InvalidInput(f"this is no flow definition: {error}") from error
        flows.check(command)
        declared = schedules.of_registration(command)
        flow_id, version = ids.flow_id(command.name), command.flow_version or flows.version_of(command)
        state, stored = await self._flows.handle(
            flow_id,
            lambda flow: flows.register(flow, command, event_id=ids.uuid7(), now=self._context.clock()),
        )
        if stored:
            self._context.log.info("flow registered", flow=command.name, version=version)
        for wanted in command.deployments:
            state, _ = await self._flows.handle(
                flow_id,
                lambda flow, wanted=wanted: deployments.deploy(
                    flow, flow_id, wanted, event_id=ids.uuid7(), now=self._context.clock()
                ),
            )
        if declared is not None and state is not None:
            await self._schedules.keep(state, declared, None, command.client_name or "")
        return Reply.of(Registered(flow_id=flow_id, flow_version=version, new=bool(stored)))

    async def remove(self, data: bytes) -> Reply:
        command = _decode_remove(data)
        flow = self._flows.get(command.flow_id)
        if flow is None:
            raise NotFound(f"there is no flow {command.flow_id}")
        if not flow.hidden:
            reply = await self._bus.ask(
                subjects.command("engine", "live"), LiveRuns(flow_id=flow.id), timeout_s=5
            )
            live = _decode_ids(reply.value)
            if live:
                raise Conflicting(
                    f"flow {flow.name!r} has {len(live)} run(s) that have not ended, for example {live[0]}: "
                    "cancel them or wait for their end, then remove the flow."
                )
            await self._flows.handle(
                flow.id,
                lambda now: flows.remove(now, flow.id, event_id=ids.uuid7(), now=self._context.clock()),
            )
            self._context.log.info("flow removed", flow=flow.name)
        await self._schedules.drop(flow.id, None, "its flow was removed")
        return Reply.of(Done())

    async def undeploy(self, data: bytes) -> Reply:
        command = _decode_undeploy(data)
        await self._flows.handle(
            _id_of(command.flow),
            lambda flow: deployments.undeploy(
                flow, command.name, event_id=ids.uuid7(), now=self._context.clock()
            ),
        )
        await self._schedules.drop(_id_of(command.flow), command.name, "its deployment was removed")
        return Reply.of(Done())

    async def versions(self, data: bytes) -> Reply:
        command = _decode_versions(data)
        subject = subjects.flow(_id_of(command.flow))
        found = versions.versions(event for _, event in await self._bus.read(subject, stream="DEFS"))
        if not found:
            raise NotFound(f"there is no flow {command.flow!r}")
        return Reply.of(found)


def _id_of(flow: str) -> str:
    return flow if ids.is_id(flow) else ids.flow_id(flow)
