"""Client processes that the launcher runs. Subject: `perfect.evt.process.<process_id>` on DEFS.

What should run follows from `requested` and `stopped` alone; `started` and `exited` say what became of it. A process
belongs to one host for good.
"""

from perfect_schemas.envelope import Event, Instant


class ProcessRequested(Event, frozen=True, kw_only=True, omit_defaults=True, tag="process.requested"):
    """Somebody wants the file to run from now on. file: relative to the workflows folder, with forward slashes.

    host: the name of the launcher that is to run it.
    """

    process_id: str
    file: str
    name: str
    by: str
    host: str = ""


class ProcessStarted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="process.started"):
    """restarts: how many starts there were since the request, before this one."""

    process_id: str
    host: str
    pid: int
    restarts: int = 0


class ProcessExited(Event, frozen=True, kw_only=True, omit_defaults=True, tag="process.exited"):
    """It ended. code: its exit code, -n for signal n, None when nobody saw it (its launcher had ended).

    restart_at: when it is started again, None when it is not (now).
    """

    process_id: str
    pid: int
    code: int | None = None
    restart_at: Instant | None = None


class ProcessStopped(Event, frozen=True, kw_only=True, omit_defaults=True, tag="process.stopped"):
    """Somebody wants it to run no longer; `exited` follows if it did."""

    process_id: str
    by: str
