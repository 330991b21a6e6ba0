"""Log lines of a run, many to one message. Subject: `perfect.log.<run_id>` on LOGS."""

import msgspec

from perfect_schemas.envelope import Event, Instant


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """level: Python's number (10 debug … 50 critical). task_key: None for lines of the flow's own body."""

    at: Instant
    level: int
    message: str
    logger: str = "perfect"
    task_run_id: str | None = None
    task_key: str | None = None


class LogBatch(Event, frozen=True, kw_only=True, omit_defaults=True, tag="log.written"):
    """Lines in the order in which they were written. `suppressed` counts lines dropped before the first one."""

    lines: list[LogLine]
    suppressed: int = 0
