"""The hosts that have a launcher: which one a command is for, and what runs on all of them.

A host's launcher answers for its processes. While it is away, what is known of them follows from their events; whether
they run is unknown.
"""

import asyncio
from datetime import datetime
from typing import TypeVar

import msgspec

from perfect_bus import launchers
from perfect_bus.launchers import Seen
from perfect_gateway.ask import COMMAND_S, Asker
from perfect_schemas import codec, commands, hosts, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.commands import ProcessStatus, WorkflowFiles
from perfect_schemas.errors import FieldError, InvalidInput, ServiceUnavailable
from perfect_schemas.folds.process import Process, evolve

T = TypeVar("T")
STATUS_S = 3.0  # a launcher that starts anew takes about one


class HostProcesses(msgspec.Struct, frozen=True, kw_only=True):
    """A host and its client processes by file. here: its launcher answers; else nobody knows since `away_since` whether
    they run. folder: with the workflows, empty while it is away.
    """

    name: str
    here: bool
    away_since: datetime | None = None
    folder: str = ""
    processes: list[ProcessStatus] = []


async def choose(asker: Asker, host: str | None, own: str, *, file: str | None = None) -> str:
    """The host that a command is for: the one that was said, the only one whose launcher is here, or `own`, the gateway's.

    file: which the command is about; without a host, one that has it goes before those that do not. Raises InvalidInput
    for a host that is not known and when several could be meant, ServiceUnavailable for one that is away.
    """
    known = await launchers.seen(asker.bus)
    here = [one.host for one in known if one.presence is not None]
    if host:
        return _named(host, known, here)
    if len(here) == 1:
        return here[0]
    if not here:
        raise ServiceUnavailable("no launcher is here: no host can start or stop client processes now")
    if own in here:
        return own
    if file is not None and len(having := await _having(asker, here, file)) == 1:
        return having[0]
    message = f"says which of the hosts is meant: {', '.join(here)}"
    raise InvalidInput(f"host {message}", [FieldError("host", message)])


async def command(asker: Asker, host: str, verb: str, asked: msgspec.Struct, kind: type[T]) -> T:
    """Repeated until the launcher of the host answers. Raises what it answers, ServiceUnavailable when it does not."""
    try:
        reply = await asker.bus.ask(subjects.launcher(host, verb), asked, timeout_s=COMMAND_S)
    except ServiceUnavailable as error:
        raise ServiceUnavailable(f"the launcher of the host {host!r} does not answer now") from error
    return msgspec.json.decode(reply.value, type=kind)


async def files(asker: Asker, host: str) -> WorkflowFiles:
    """What may be started on the host. Raises ServiceUnavailable."""
    return await command(asker, host, "files", commands.ShowWorkflows(), WorkflowFiles)


async def processes(
    asker: Asker, *, host: str | None = None, file: str | None = None, log_lines: int
) -> list[HostProcesses]:
    """The hosts by name, each with its processes; only `host`, only `file`. Raises InvalidInput for a file that cannot be."""
    known = [one for one in await launchers.seen(asker.bus) if host is None or one.host == host]
    show = commands.ShowProcesses(file=file, log_lines=log_lines)
    found = await asyncio.gather(*(_asked(asker, one, show) for one in known))
    if all(one.here for one in found):
        return list(found)
    said = await _said(asker)
    return [one if one.here else _away(one, said, file) for one in found]


async def _asked(asker: Asker, one: Seen, show: commands.ShowProcesses) -> HostProcesses:
    if one.presence is None:
        return HostProcesses(name=one.host, here=False, away_since=one.away_since)
    try:
        reply = await asker.bus.ask(subjects.launcher(one.host, "status"), show, timeout_s=STATUS_S)
    except ServiceUnavailable:
        return HostProcesses(name=one.host, here=False)
    known = msgspec.json.decode(reply.value, type=list[ProcessStatus])
    return HostProcesses(name=one.host, here=True, folder=one.presence.folder, processes=known)


async def _said(asker: Asker) -> list[Process]:
    """Every process as its events leave it."""
    folded: dict[str, Process | None] = {}
    for seq, subject, data in await asker.bus.read_raw(subjects.ALL_PROCESSES, stream="DEFS"):
        event = codec.decode(data)
        if not isinstance(event, UnknownEvent):
            folded[subject] = evolve(folded.get(subject), event, seq)
    return sorted((one for one in folded.values() if one is not None), key=lambda one: one.file)


def _away(host: HostProcesses, said: list[Process], file: str | None) -> HostProcesses:
    """Those that should run there: of the others it is known that they do not."""
    found = [
        ProcessStatus(
            id=one.id,
            file=one.file,
            name=one.name,
            host=one.host,
            wanted=one.wanted,
            running=False,
            restarts=one.restarts,
            detail=f"whether it runs is unknown: the launcher of {host.name} is away",
            is_known=False,
            unknown_since=host.away_since,
        )
        for one in said
        if one.host == host.name and (one.wanted or one.pid is not None) and file in (None, one.file)
    ]
    return msgspec.structs.replace(host, processes=found)


def _named(host: str, known: list[Seen], here: list[str]) -> str:
    if host in here:
        return host
    if any(one.host == host for one in known):
        raise ServiceUnavailable(
            f"the launcher of the host {host!r} is away: nothing can be started or stopped there now"
        )
    there = f"there are {', '.join(here)}" if here else "there is none now"
    what = f"{host!r} has no launcher" if hosts.is_name(host) else f"{host[:200]!r} is no name of a host"
    raise InvalidInput(f"host {what}; {there}", [FieldError("host", f"{what}; {there}")])


async def _having(asker: Asker, here: list[str], file: str) -> list[str]:
    found = await processes(asker, file=file, log_lines=0)
    return [one.name for one in found if one.name in here and one.processes]
