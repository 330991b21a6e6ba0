"""What may be asked of a client process and what is said of it: pure. What is known of it is its fold.

What should run follows from the events alone, so that a launcher that starts anew starts what should run:

    request → requested          stop → stopped
    the launcher itself: started, exited (with when it starts again)
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from perfect_schemas.errors import NotFound
from perfect_schemas.events import ProcessExited, ProcessRequested, ProcessStarted, ProcessStopped
from perfect_schemas.folds.process import Process

SOURCE = "launcher"
FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 30.0
STABLE_S = 10.0


class Stamp(msgspec.Struct, frozen=True):
    """What an event gets from outside."""

    event_id: str
    now: datetime


def request(
    process: Process | None, process_id: str, file: str, host: str, by: str, stamp: Stamp
) -> tuple[ProcessRequested, ...]:
    """Nothing when it is wanted already."""
    if process is not None and process.wanted:
        return ()
    name = file.removesuffix(".py")
    return (
        ProcessRequested(**_envelope(stamp), process_id=process_id, file=file, name=name, by=by, host=host),
    )


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
    """What an earlier launcher had started, or this one was disconnected from, and is not there any more."""
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
        how = "ended while no launcher saw it"
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
