"""What the events of a client process come to: pure. What should run follows from them alone."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from perfect_schemas.envelope import Event
from perfect_schemas.events import ProcessExited, ProcessRequested, ProcessStarted, ProcessStopped


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """wanted: it is to run. pid: of the one that was started and has not been said to have exited.

    starts: how many there were since the request. code: of the last exit, None when nobody saw it or there was none.
    host: whose launcher runs it.
    """

    id: str
    file: str
    name: str
    wanted: bool = True
    pid: int | None = None
    started_at: datetime | None = None
    starts: int = 0
    exited_at: datetime | None = None
    code: int | None = None
    restart_at: datetime | None = None
    host: str = ""

    @property
    def restarts(self) -> int:
        return max(self.starts - 1, 0)


def evolve(process: Process | None, event: Event, _: int) -> Process | None:
    apply = _APPLY.get(type(event))
    if apply is None or (process is None and not isinstance(event, ProcessRequested)):
        return process
    return apply(process, event)


def _requested(process: Process | None, event: ProcessRequested) -> Process:
    host = event.host or (process.host if process is not None else "")
    return Process(id=event.process_id, file=event.file, name=event.name, host=host)


def _started(process: Process, event: ProcessStarted) -> Process:
    return msgspec.structs.replace(
        process,
        pid=event.pid,
        started_at=event.at,
        starts=process.starts + 1,
        restart_at=None,
        host=process.host or event.host,
    )


def _exited(process: Process, event: ProcessExited) -> Process:
    return msgspec.structs.replace(
        process, pid=None, exited_at=event.at, code=event.code, restart_at=event.restart_at
    )


def _stopped(process: Process, _: ProcessStopped) -> Process:
    return msgspec.structs.replace(process, wanted=False, restart_at=None)


_APPLY: dict[type[Event], Callable[..., Process]] = {
    ProcessRequested: _requested,
    ProcessStarted: _started,
    ProcessExited: _exited,
    ProcessStopped: _stopped,
}
