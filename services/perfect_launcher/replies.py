"""The launcher's commands: `perfect.cmd.launcher.start.<host>`, `.stop`, `.status` and `.files`."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from perfect_bus import Bus
from perfect_schemas import subjects
from perfect_schemas.commands import Reply, ShowProcesses, StartProcess, StopProcess, WorkflowFiles

if TYPE_CHECKING:
    from perfect_launcher.service import LauncherService

_decode_start = msgspec.json.Decoder(StartProcess).decode
_decode_stop = msgspec.json.Decoder(StopProcess).decode
_decode_show = msgspec.json.Decoder(ShowProcesses).decode
LOG_LINES = 20  # in the answer to start and stop
SPAWN_S = 1.5


class Replies:
    def __init__(self, bus: Bus, service: "LauncherService") -> None:
        self._bus = bus
        self._service = service

    async def start(self, host: str) -> None:
        for verb, answer in (
            ("start", self.begin),
            ("stop", self.end),
            ("status", self.show),
            ("files", self.files),
        ):
            await self._bus.answer(subjects.launcher(host, verb), answer)

    async def begin(self, data: bytes) -> Reply:
        command = _decode_start(data)
        runner, new = await self._service.request(command.file, command.by)
        try:
            async with asyncio.timeout(SPAWN_S):
                await runner.spawned.wait()
        except TimeoutError:
            pass  # NATS is slow: it is started all the same
        return Reply.of(runner.status(LOG_LINES, new=new))

    async def end(self, data: bytes) -> Reply:
        command = _decode_stop(data)
        runner, new = await self._service.dismiss(command.file, command.by)
        return Reply.of(runner.status(LOG_LINES, new=new))

    async def show(self, data: bytes) -> Reply:
        command = _decode_show(data)
        runners = self._service.runners(command.file)
        return Reply.of([runner.status(command.log_lines) for runner in runners])

    async def files(self, _: bytes) -> Reply:
        workflows = self._service.workflows
        names, complete = await asyncio.to_thread(workflows.files)
        return Reply.of(
            WorkflowFiles(
                host=self._service.host, folder=str(workflows.folder), files=names, complete=complete
            )
        )
