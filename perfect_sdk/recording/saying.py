"""What the SDK itself says of a run, as a log line of it."""

from contextlib import suppress
from typing import TYPE_CHECKING

from perfect_schemas.envelope import utc_now
from perfect_schemas.events import LogLine
from perfect_sdk.encoding import failures, secrecy

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call


def line_of(level: int, message: str, call: "Call | None", error: BaseException | None) -> LogLine:
    """`error`: with its traceback, unless an earlier line had it. Secrets that the run has loaded are concealed."""
    message = secrecy.conceal(message)
    if error is not None:
        message = f"{message}: {type(error).__name__}: {error}"
        if getattr(error, "__perfect_said__", None) is None:
            message = f"{message}\n{failures.format_traceback(error).rstrip()}"
            with suppress(Exception):
                error.__perfect_said__ = True  # type: ignore[attr-defined]
        message = secrecy.conceal(message)
    return LogLine(
        at=utc_now(),
        level=level,
        message=message,
        logger="perfect",
        task_run_id=call.id if call is not None else None,
        task_key=call.place.key if call is not None else None,
    )
