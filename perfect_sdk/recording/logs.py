"""Log lines of a run: `get_run_logger`, the standard library's logging, and `print`.

While a run executes, a handler on the root logger and a wrapped `print` hand over what is said by code that runs in
the frame of a run (context variables: its own threads and asyncio tasks included); all else passes as before.
"""

import builtins
import io
import logging
import sys
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from perfect_schemas.envelope import utc_now
from perfect_schemas.events import LogLine
from perfect_sdk.calling.keys import Scope
from perfect_sdk.context import Frame, current
from perfect_sdk.encoding.secrecy import conceal
from perfect_sdk.exceptions import MissingContextError

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.running.session import RunSession

FLOW_LOGGER = "perfect.flow_runs"
TASK_LOGGER = "perfect.task_runs"
MAX_LINE_CHARS = 100_000

_disabled: ContextVar[bool] = ContextVar("perfect_logs_disabled", default=False)
_lock = threading.Lock()
_active: "list[RunSession]" = []
_root_level = logging.WARNING
_our_level = logging.WARNING
_print = builtins.print


class _Adapter(logging.LoggerAdapter):  # type: ignore[type-arg]
    """What is logged carries the names and ids in `extra`, for formatters of the user's own."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


def get_run_logger(context: Any = None, **extra: Any) -> "logging.LoggerAdapter[logging.Logger]":
    """The logger of the running flow or task. Raises MissingContextError outside of one.

    context: a FlowRunContext or TaskRunContext, to log as that one. extra: for formatters of log records.
    """
    if _disabled.get():
        return _Adapter(_silent, extra)
    frame = current.get()
    if frame is None:
        raise MissingContextError(
            "get_run_logger() needs a running flow or task; it was called outside of one (get_logger() works everywhere)"
        )
    frame.check()
    call = frame.call if context is None or hasattr(context, "task_run") else None
    return _adapter(frame.session, call, extra)


def flow_run_logger(
    flow_run: Any = None, flow: Any = None, flow_run_id: Any = None, **extra: Any
) -> "logging.LoggerAdapter[logging.Logger]":
    """The logger of a run that executes in this process, for hooks: `flow_run` is what they get. Of another run what is
    logged goes to the standard library's handlers alone.
    """
    run_id = str(flow_run_id if flow_run is None else flow_run.id)
    session = _session_of(run_id)
    if session is not None:
        return _adapter(session, None, {**extra, "perfect_frame": Frame(session, Scope())})
    names = {
        "flow_run_id": run_id,
        "flow_run_name": getattr(flow_run, "name", None) or run_id,
        "flow_name": getattr(flow, "name", None) or "<unknown>",
    }
    return _Adapter(_flow_logger, {**names, **extra})


def task_run_logger(
    task_run: Any, task: Any = None, flow_run: Any = None, flow: Any = None, **extra: Any
) -> "logging.LoggerAdapter[logging.Logger]":
    """The logger of a task run, for hooks: `task_run` is what they get."""
    session = getattr(task_run, "session", None) or _session_of(str(getattr(task_run, "flow_run_id", "")))
    call = task_run if getattr(task_run, "place", None) is not None else None
    if session is not None and call is not None:
        return _adapter(session, call, {**extra, "perfect_frame": Frame(session, Scope(), call)})
    names = {
        "task_run_id": str(getattr(task_run, "id", "")),
        "task_run_name": getattr(task_run, "name", None) or "<unknown>",
        "task_name": getattr(task, "name", None) or "<unknown>",
        "flow_run_name": getattr(flow_run, "name", None) or "<unknown>",
        "flow_name": getattr(flow, "name", None) or "<unknown>",
    }
    return _Adapter(_task_logger, {**names, **extra})


def _adapter(
    session: "RunSession", call: "Call | None", extra: dict[str, Any]
) -> "logging.LoggerAdapter[logging.Logger]":
    run = session.run
    names: dict[str, Any] = {
        "flow_run_id": run.run_id,
        "flow_run_name": run.name or run.run_id,
        "flow_name": run.flow_name,
    }
    if not session.has_flow:
        names = {"flow_run_id": None, "flow_run_name": "<unknown>", "flow_name": "<unknown>"}
    if call is None:
        return _Adapter(_flow_logger, {**names, **extra})
    names |= {"task_run_id": call.id, "task_run_name": call.place.key, "task_name": call.policy.name}
    return _Adapter(_task_logger, {**names, **extra})


def _session_of(run_id: str) -> "RunSession | None":
    with _lock:
        return next((session for session in _active if session.run.run_id == run_id), None)


def get_logger(name: str | None = None) -> logging.Logger:
    """`perfect`, or `perfect.<name>`: for code that may run outside of flows, too."""
    return logging.getLogger(f"perfect.{name}" if name else "perfect")


@contextmanager
def disable_run_logger() -> Iterator[None]:
    """Inside, nothing is logged to the run, and `get_run_logger` works outside of runs: for unit tests of tasks."""
    token = _disabled.set(True)
    try:
        yield
    finally:
        _disabled.reset(token)


class RunHandler(logging.Handler):
    """On the root logger while any run executes."""

    def emit(self, record: logging.LogRecord) -> None:
        frame = getattr(record, "perfect_frame", None) or current.get()
        if frame is None or not frame.session.has_flow:
            # As if this handler were not here: the standard library's handler of last resort.
            last = logging.lastResort
            if last is not None and logging.root.handlers == [self] and record.levelno >= last.level:
                last.handle(record)
            return
        hand_over(self, frame, record)


def hand_over(handler: logging.Handler, frame: Frame, record: logging.LogRecord) -> None:
    """Make the record a line of what runs in `frame`, if its level is high enough."""
    if record.levelno < frame.session.level or _disabled.get():
        return
    try:
        message = record.getMessage()
        if record.exc_info and not isinstance(record.exc_info, bool) and record.exc_info[0] is not None:
            message = f"{message}\n{_formatter.formatException(record.exc_info)}"
        if record.stack_info:
            message = f"{message}\n{record.stack_info}"
    except Exception:
        handler.handleError(record)
        return
    at = datetime.fromtimestamp(record.created, UTC)
    write(frame, record.levelno, message, logger=record.name, at=at)


def write(frame: Frame, level: int, message: str, *, logger: str, at: datetime | None = None) -> None:
    message = conceal(message)
    if len(message) > MAX_LINE_CHARS:
        message = f"{message[:MAX_LINE_CHARS]}… ({len(message):,} characters)"
    call = frame.call
    frame.session.journal.log(
        LogLine(
            at=at or utc_now(),
            level=level,
            message=message,
            logger=logger,
            task_run_id=call.id if call is not None else None,
            task_key=call.place.key if call is not None else None,
        )
    )


def print_and_log(
    *values: Any, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: bool = False
) -> None:
    """`print`, and a log line if a run's code prints to stdout."""
    frame = current.get()
    if frame is not None:
        values = tuple(conceal(str(value)) for value in values)
    _print(*values, sep=sep, end=end, file=file, flush=flush)
    if frame is None or not frame.prints or _disabled.get() or (file is not None and file is not sys.stdout):
        return
    text = io.StringIO()
    _print(*values, sep=sep, end="", file=text)
    write(frame, logging.INFO, text.getvalue(), logger="print")


_formatter = logging.Formatter()
_handler = RunHandler(level=0)
_flow_logger = logging.getLogger(FLOW_LOGGER)
_task_logger = logging.getLogger(TASK_LOGGER)
logging.getLogger("perfect").setLevel(logging.DEBUG)
_silent = logging.getLogger("perfect.silent")
_silent.disabled = True


@contextmanager
def captured(session: "RunSession") -> Iterator[None]:
    """While inside, what the run's code logs and prints is handed over."""
    _enter(session)
    try:
        yield
    finally:
        _leave(session)


def _enter(session: "RunSession") -> None:
    global _root_level
    with _lock:
        _active.append(session)
        if len(_active) == 1:
            _root_level = logging.root.level
            logging.root.addHandler(_handler)
            builtins.print = print_and_log
        _set_level()


def _leave(session: "RunSession") -> None:
    with _lock:
        _active.remove(session)
        if _active:
            _set_level()
            return
        logging.root.removeHandler(_handler)
        if logging.root.level == _our_level:  # unless the user's code has set another one
            logging.root.setLevel(_root_level)
        if builtins.print is print_and_log:
            builtins.print = _print


def _set_level() -> None:
    """The root logger lets through what any active run wants (the handler judges for each run by itself)."""
    global _our_level
    _our_level = min(_root_level or logging.WARNING, *(session.level for session in _active))
    if logging.root.level != _our_level:  # setting it empties what every logger remembers of levels
        logging.root.setLevel(_our_level)
