"""Client processes on the server's host: start and stop workers for files of the workflows folder, see how they do."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post

from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, body, json, query
from perfect_schemas import commands
from perfect_schemas.commands import ProcessStatus, WorkflowFiles

BY = "api"


class FileBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """file: relative to the workflows folder, or absolute and below it."""

    file: str


class StatusQuery(msgspec.Struct, frozen=True, kw_only=True):
    """file: only this one's. logs: how many of the last lines of output each."""

    file: str | None = None
    logs: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 1000


class ClientProcess(msgspec.Struct, frozen=True, kw_only=True):
    """running: its process is alive. wanted: it is to be; it is started again when it ends by itself.

    restarts: how often it was started again since it was asked for. detail: what keeps it from running, or how it ended last.
    host: where it was started last. restart_at: when it is started again, when it has ended by itself.
    """

    running: bool
    pid: int | None
    file: str
    started_at: datetime | None
    logs: list[str]
    name: str
    wanted: bool
    restarts: int
    detail: str
    host: str
    restart_at: datetime | None


class ClientProcesses(msgspec.Struct, frozen=True, kw_only=True):
    clients: list[ClientProcess]


def shown(status: ProcessStatus) -> ClientProcess:
    return ClientProcess(
        running=status.running,
        pid=status.pid,
        file=status.file,
        started_at=status.started_at,
        logs=status.logs,
        name=status.name,
        wanted=status.wanted,
        restarts=status.restarts,
        detail=status.detail,
        host=status.host,
        restart_at=status.restart_at,
    )


def routes(parts: Parts) -> list[Any]:
    @post(
        "/api/client/start",
        status_code=202,
        opt={"body": FileBody, "answers": {202: ClientProcess, 200: ClientProcess}},
    )
    async def start(request: AnyRequest) -> Response[bytes]:
        """Run a worker for a file of the workflows folder, and keep it running. 200 when it is to run already."""
        wanted = await body(request, FileBody)
        command = commands.StartProcess(file=wanted.file, by=BY)
        status = await parts.asker.command("launcher", "start", command, ProcessStatus)
        return json(shown(status), status=202 if status.new else 200)

    @post("/api/client/stop", status_code=200, opt={"body": FileBody, "answers": {200: ClientProcess}})
    async def stop(request: AnyRequest) -> Response[bytes]:
        """End the worker of a file: it may finish what it runs for a moment. Answers when it has ended."""
        wanted = await body(request, FileBody)
        command = commands.StopProcess(file=wanted.file, by=BY)
        return json(shown(await parts.asker.command("launcher", "stop", command, ProcessStatus)))

    @get("/api/client/status", opt={"query": StatusQuery, "answers": {200: ClientProcesses}})
    async def status(request: AnyRequest) -> Response[bytes]:
        """The client processes by file, each with the last lines of its output."""
        wanted = query(request, StatusQuery)
        command = commands.ShowProcesses(file=wanted.file, log_lines=wanted.logs)
        found = await parts.asker.command("launcher", "status", command, list[ProcessStatus])
        return json(ClientProcesses(clients=[shown(one) for one in found]))

    @get("/api/client/files", opt={"answers": {200: WorkflowFiles}})
    async def files() -> Response[bytes]:
        """What may be started: the Python files of the workflows folder. `complete`: no more than are listed."""
        return json(await parts.asker.command("launcher", "files", commands.ShowWorkflows(), WorkflowFiles))

    return [start, stop, status, files]
