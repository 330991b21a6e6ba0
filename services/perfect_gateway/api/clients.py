"""Client processes: start and stop workers for files of a host's workflows folder, see how they do."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post

from perfect_gateway import hosts
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, body, json, query
from perfect_schemas.commands import ProcessStatus, StartProcess, StopProcess, WorkflowFiles

BY = "api"


class FileBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """file: relative to the workflows folder of the host, or absolute and below it.

    host: the name of the host whose launcher is meant. Not needed while there is one launcher only; among several the
    one of the server's own machine is meant.
    """

    file: str
    host: str | None = None


class StatusQuery(msgspec.Struct, frozen=True, kw_only=True):
    """file, host: only this one's. logs: how many of the last lines of output each."""

    file: str | None = None
    host: str | None = None
    logs: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 1000


class FilesQuery(msgspec.Struct, frozen=True, kw_only=True):
    """host: whose files; as in start."""

    host: str | None = None


class ClientProcess(msgspec.Struct, frozen=True, kw_only=True):
    """running: its process is alive. wanted: it is to be; it is started again when it ends by itself.

    restarts: how often it was started again since it was asked for. detail: what keeps it from running, or how it ended last.
    host: whose launcher runs it. restart_at: when it is started again, when it has ended by itself.
    known: false while that launcher is away: since `unknown_since` nobody knows whether it runs.
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
    known: bool
    unknown_since: datetime | None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host that has a launcher, or had one within 30 days. here: it answers; else it is away since `away_since`.

    folder: with its workflows, empty while it is away.
    """

    name: str
    here: bool
    away_since: datetime | None
    folder: str


class ClientProcesses(msgspec.Struct, frozen=True, kw_only=True):
    clients: list[ClientProcess]
    hosts: list[Host]


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
        known=status.is_known,
        unknown_since=status.unknown_since,
    )


def routes(parts: Parts) -> list[Any]:
    async def done(request: AnyRequest, verb: str, kind: type[StartProcess | StopProcess]) -> ProcessStatus:
        wanted = await body(request, FileBody)
        own = parts.settings.launcher_name
        host = await hosts.choose(parts.asker, wanted.host, own, file=wanted.file)
        return await hosts.command(parts.asker, host, verb, kind(file=wanted.file, by=BY), ProcessStatus)

    @post(
        "/api/client/start",
        status_code=202,
        opt={"body": FileBody, "answers": {202: ClientProcess, 200: ClientProcess}},
    )
    async def start(request: AnyRequest) -> Response[bytes]:
        """Run a worker for a file of the workflows folder, and keep it running. 200 when it is to run already."""
        status = await done(request, "start", StartProcess)
        return json(shown(status), status=202 if status.new else 200)

    @post("/api/client/stop", status_code=200, opt={"body": FileBody, "answers": {200: ClientProcess}})
    async def stop(request: AnyRequest) -> Response[bytes]:
        """End the worker of a file: it may finish what it runs for a moment. Answers when it has ended."""
        return json(shown(await done(request, "stop", StopProcess)))

    @get("/api/client/status", opt={"query": StatusQuery, "answers": {200: ClientProcesses}})
    async def status(request: AnyRequest) -> Response[bytes]:
        """The hosts by name, and their client processes by host and file, each with the last lines of its output."""
        wanted = query(request, StatusQuery)
        found = await hosts.processes(parts.asker, host=wanted.host, file=wanted.file, log_lines=wanted.logs)
        return json(
            ClientProcesses(
                clients=[shown(process) for one in found for process in one.processes],
                hosts=[
                    Host(name=one.name, here=one.here, away_since=one.away_since, folder=one.folder)
                    for one in found
                ],
            )
        )

    @get("/api/client/files", opt={"query": FilesQuery, "answers": {200: WorkflowFiles}})
    async def files(request: AnyRequest) -> Response[bytes]:
        """What may be started: the Python files of the workflows folder. `complete`: no more than are listed."""
        wanted = query(request, FilesQuery)
        host = await hosts.choose(parts.asker, wanted.host, parts.settings.launcher_name)
        return json(await hosts.files(parts.asker, host))

    return [start, stop, status, files]
