"""What is known of a client process, what may be asked of it and what is said of it: pure.

What should run follows from the events alone, so that a launcher that starts anew starts what should run:

    request → requested          stop → stopped
    the launcher itself: started, exited (with when it starts again)
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from perfect_schemas.envelope import Event
from perfect_schemas.errors import NotFound
from perfect_schemas.events import ProcessExited, ProcessRequested, ProcessStarted, ProcessStopped

SOURCE = "launcher"
FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 30.0
STABLE_S = 10.0


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """wanted: it is to run. pid: of the one that was started and has not been said to have exited.

    starts: how many there were since the request. code: of the last exit, None when nobody saw it or there was none.
    host: of the last start.
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


class Stamp(msgspec.Struct, frozen=True):
    """What an event gets from outside."""

    event_id: str
    now: datetime


def evolve(process: Process | None, event: Event, _: int) -> Process | None:
    apply = _APPLY.get(type(event))
    if apply is None or (process is None and not isinstance(event, ProcessRequested)):
        return process
    return apply(process, event)


def _requested(_: Process | None, event: ProcessRequested) -> Process:
    return Process(id=event.process_id, file=event.file, name=event.name)


def _started(process: Process, event: ProcessStarted) -> Process:
    return msgspec.structs.replace(
        process,
        pid=event.pid,
        started_at=event.at,
        starts=process.starts + 1,
        restart_at=None,
        host=event.host,
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


# -- decisions


def request(
    process: Process | None, process_id: str, file: str, by: str, stamp: Stamp
) -> tuple[ProcessRequested, ...]:
    """Nothing when it is wanted already."""
    if process is not None and process.wanted:
        return ()
    name = file.removesuffix(".py")
    return (ProcessRequested(**_envelope(stamp), process_id=process_id, file=file, name=name, by=by),)


def stop(process: Process | None, file: str, by: str, stamp: Stamp) -> tuple[ProcessStopped, ...]:
    """Nothing when it is not wanted. Raises NotFound when it never was."""
    if process is None:
        raise NotFound(f"no client process was ever started for {file!r}")
    if not process.wanted:
        return ()
    return (ProcessStopped(**_envelope(stamp), process_id=process.id, by=by),)


def started(process: Process | None, pid: int, host: str, stamp: Stamp) -> tuple[ProcessStarted, ...]:
    if process is None or process.pid == pid:
        return ()
    return (
        ProcessStarted(
            **_envelope(stamp), process_id=process.id, host=host, pid=pid, restarts=process.starts
        ),
    )


def exited(
    process: Process | None, pid: int, code: int | None, pause_s: float | None, stamp: Stamp
) -> tuple[ProcessExited, ...]:
    """pause_s: until it is started again, None: it is not. Nothing when this was said already."""
    if process is None or process.pid != pid:
        return ()
    again = stamp.now + timedelta(seconds=pause_s) if pause_s is not None and process.wanted else None
    return (ProcessExited(**_envelope(stamp), process_id=process.id, pid=pid, code=code, restart_at=again),)


def recover(process: Process | None, stamp: Stamp) -> tuple[ProcessExited, ...]:
    """At the start of a launcher: what an earlier one had started died with it."""
    if process is None or process.pid is None:
        return ()
    return exited(process, process.pid, None, None, stamp)


def next_pause(last_s: float, lived_s: float) -> float:
    """How long to wait before the next start, in seconds. last_s: how long it was before this life, 0 for none."""
    if lived_s >= STABLE_S or not last_s:
        return FIRST_PAUSE_S
    return min(last_s * 2, LAST_PAUSE_S)


def ending(process: Process, now: datetime) -> str:
    """How it ended last and what happens next, in a sentence; empty while it runs or has never ended."""
    if process.pid is not None or process.exited_at is None:
        return ""
    if process.code is None:
        how = "ended with its launcher"
    elif process.code < 0:
        how = f"ended by signal {-process.code}"
    else:
        how = f"ended with exit code {process.code}"
    if process.restart_at is None:
        return how
    left = max((process.restart_at - now).total_seconds(), 0)
    return f"{how}; it is started again in {left:.1f} s"


def _envelope(stamp: Stamp) -> dict[str, Any]:
    return {"id": stamp.event_id, "at": stamp.now, "source": SOURCE}
