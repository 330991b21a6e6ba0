"""What was decided about a schedule's instant, as a view: the same whether it is read from the file or off the stream."""

import functools
from datetime import datetime
from typing import Any, Literal

import msgspec

from perfect_schemas.events.schedule import ScheduleDeferred, ScheduleFired, ScheduleSkipped

Decision = Literal["fired", "deferred", "skipped"]


class ScheduleDecisionView(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about `at_instant`, or about all `count` of them from there through `through`.

    id: of the event that says it. late_ms: from when it was due (the instant and its jitter) to the decision; of many
    skipped ones, of the last. run_id: of the run that was started, or that it waits behind. reason: why it was skipped;
    detail: in words. backfill, by: somebody asked for a range. flow_name, schedule_name: empty when they are not known.
    """

    id: str
    schedule_id: str
    decision: Decision
    at_instant: datetime
    decided_at: datetime
    due_at: datetime | None = None
    through: datetime | None = None
    count: int = 1
    late_ms: int | None = None
    reason: str | None = None
    detail: str = ""
    run_id: str | None = None
    backfill: bool = False
    by: str = ""
    flow_id: str = ""
    flow_name: str = ""
    schedule_name: str = ""


def decision_of(event: Any) -> ScheduleDecisionView | None:
    """None for an event that decides nothing."""
    if not isinstance(event, ScheduleFired | ScheduleDeferred | ScheduleSkipped):
        return None
    decided = functools.partial(
        ScheduleDecisionView,
        id=event.id,
        schedule_id=event.schedule_id,
        at_instant=event.at_instant,
        decided_at=event.at,
    )
    if isinstance(event, ScheduleFired):
        return decided(
            decision="fired",
            due_at=event.due_at,
            late_ms=event.late_ms,
            run_id=event.run_id,
            backfill=event.backfill,
            by=event.by,
        )
    if isinstance(event, ScheduleDeferred):
        return decided(decision="deferred", due_at=event.due_at, run_id=event.behind or None)
    return decided(
        decision="skipped",
        through=event.through,
        count=event.count,
        late_ms=event.late_ms,
        reason=event.reason,
        detail=event.detail,
    )
