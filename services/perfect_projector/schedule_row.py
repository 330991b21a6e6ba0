"""Schedules and their decisions as rows: the tuples have the order of the columns in `merge_schedules` and
`load_schedules`, and in `insert_schedule_decisions` and `load_schedule_decisions`.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from perfect_projector.batch import Row
from perfect_projector.values import instant, text, timestamp
from perfect_schemas.events import ScheduleEvent
from perfect_schemas.folds import schedule as fold
from perfect_schemas.folds.schedule import Schedule
from perfect_schemas.ids import is_id
from perfect_schemas.schedule import ScheduleSpec, describe
from perfect_schemas.schedule_decision import ScheduleDecisionView, decision_of

SCHEDULE = (
    "id", "flow_id", "flow_name", "name", "rule", "spec", "made_by", "paused", "paused_by", "removed", "created_at",
    "updated_at", "decided_through", "deferred", "fired", "skipped", "last_fired_at", "last_instant", "last_run_id",
    "last_late_ms", "last_seq",
)  # fmt: skip
DECISION = (
    "id", "schedule_id", "decision", "at_instant", "decided_at", "due_at", "through", "count", "late_ms", "reason",
    "detail", "run_id", "backfill", "requested_by", "seq",
)  # fmt: skip
SPEC, DEFERRED = 5, 13
NO_SPEC = '{"kind":"cron"}'  # in the place of one that the file cannot hold
_decode_spec = msgspec.json.Decoder(ScheduleSpec).decode
_decode_deferred = msgspec.json.Decoder(list[datetime]).decode


class Schedules:
    """known: id → the fold, of all schedules, removed ones too."""

    def __init__(self) -> None:
        self.known: dict[str, Schedule] = {}

    def restore(self, rows: Iterable[Row]) -> None:
        self.known = {schedule.id: schedule for schedule in map(schedule_of, rows)}

    def fold(self, event: ScheduleEvent, seq: int) -> tuple[Row | None, Row | None] | None:
        """(the row of the schedule, the row of the decision); None for an event with an id that is no id."""
        if not (is_id(event.schedule_id) and is_id(event.id)):
            return None
        before = self.known.get(event.schedule_id)
        if before is None and not is_id(getattr(event, "flow_id", event.schedule_id)):
            return None
        after = fold.evolve(before, event, seq)
        decision = decision_of(event)
        said = None if decision is None else decision_row(decision, seq)
        if after is before or after is None:
            return None, said
        self.known[after.id] = after
        return row_of(after), said


def row_of(schedule: Schedule) -> Row:
    return (
        schedule.id,
        schedule.flow_id,
        schedule.flow_name,
        schedule.spec.name,
        rule_of(schedule.spec),
        text(schedule.spec),
        schedule.made_by,
        schedule.paused,
        schedule.paused_by,
        schedule.removed,
        timestamp(schedule.created_at),
        timestamp(schedule.updated_at),
        timestamp(schedule.decided_through),
        text(schedule.deferred),
        schedule.fired,
        schedule.skipped,
        timestamp(schedule.last_fired_at),
        timestamp(schedule.last_instant),
        _id(schedule.last_run_id),
        schedule.last_late_ms,
        schedule.last_seq,
    )


def rule_of(spec: ScheduleSpec) -> str:
    """In one line; of a rule without its time, nothing."""
    return "" if spec.kind == "once" and spec.at is None else describe(spec)


def schedule_of(row: Row) -> Schedule:
    (
        schedule_id, flow_id, flow_name, _, _, spec, made_by, paused, paused_by, removed, created_at, updated_at,
        decided_through, deferred, fired, skipped, last_fired_at, last_instant, last_run_id, last_late_ms, last_seq,
    ) = row  # fmt: skip
    return Schedule(
        id=schedule_id,
        flow_id=flow_id,
        flow_name=flow_name,
        spec=_decode_spec(spec),
        made_by=made_by,
        paused=paused,
        paused_by=paused_by,
        removed=removed,
        created_at=instant(created_at),  # type: ignore[arg-type]
        updated_at=instant(updated_at),  # type: ignore[arg-type]
        decided_through=instant(decided_through),  # type: ignore[arg-type]
        deferred=_decode_deferred(deferred),
        fired=fired,
        skipped=skipped,
        last_fired_at=instant(last_fired_at),
        last_instant=instant(last_instant),
        last_run_id=last_run_id,
        last_late_ms=last_late_ms,
        last_seq=last_seq,
    )


def decision_row(said: ScheduleDecisionView, seq: int) -> Row:
    return (
        said.id,
        said.schedule_id,
        said.decision,
        timestamp(said.at_instant),
        timestamp(said.decided_at),
        timestamp(said.due_at),
        timestamp(said.through),
        said.count,
        said.late_ms,
        said.reason,
        said.detail,
        _id(said.run_id),
        said.backfill,
        said.by,
        seq,
    )


def decision_view(row: Row) -> ScheduleDecisionView:
    """row: the columns of a decision, and of its schedule flow_id, flow_name and name."""
    (
        decision_id, schedule_id, decision, at_instant, decided_at, due_at, through, count, late_ms, reason, detail,
        run_id, backfill, by, _, flow_id, flow_name, name,
    ) = row  # fmt: skip
    moments: dict[str, Any] = {
        "at_instant": instant(at_instant),
        "decided_at": instant(decided_at),
        "due_at": instant(due_at),
        "through": instant(through),
    }
    return ScheduleDecisionView(
        id=decision_id,
        schedule_id=schedule_id,
        decision=decision,
        count=count,
        late_ms=late_ms,
        reason=reason,
        detail=detail,
        run_id=run_id,
        backfill=backfill,
        by=by,
        flow_id=flow_id or "",
        flow_name=flow_name or "",
        schedule_name=name or "",
        **moments,
    )


def _id(text_: str | None) -> str | None:
    return text_ if text_ is not None and is_id(text_) else None
