"""Schedules and every decision about their instants. Subject: `perfect.evt.schedule.<schedule id>` on DEFS.

Said by the registry: created, updated, paused, resumed, removed. Said by the engine: fired, deferred, skipped, condensed.
One decision an instant makes the subject long: now and then one says where the schedule stands, and what is before it
leaves the bus.
"""

from typing import Literal

from perfect_schemas.envelope import Event, Instant
from perfect_schemas.schedule import ScheduleSource, ScheduleSpec

SkipReason = Literal["catchup", "max_lateness", "overlap", "rejected"]


class ScheduleCreated(Event, frozen=True, kw_only=True, omit_defaults=True, tag="schedule.created"):
    """Its instants from `at` on are acted upon. made_by: the flow's code, or somebody over CLI, HTTP or UI."""

    schedule_id: str
    flow_id: str
    flow_name: str
    spec: ScheduleSpec
    made_by: ScheduleSource = "api"
    by: str = ""


class ScheduleUpdated(Event, frozen=True, kw_only=True, omit_defaults=True, tag="schedule.updated"):
    """If what it says of times has changed, the new instants count from `at` on, and what was deferred is dropped."""

    schedule_id: str
    spec: ScheduleSpec
    made_by: ScheduleSource = "api"
    by: str = ""


class SchedulePaused(Event, frozen=True, kw_only=True, omit_defaults=True, tag="schedule.paused"):
    schedule_id: str
    by: str = ""


class ScheduleResumed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="schedule.resumed"):
    """Instants that passed while it was paused are not caught up on."""

    schedule_id: str
    by: str = ""


class ScheduleRemoved(Event, frozen=True, kw_only=True, omit_defaults=True, tag="schedule.removed"):
    """reason: in words. Runs that it has started go on. A schedule of its name may be created again."""

    schedule_id: str
    by: str = ""
    reason: str = ""


class ScheduleFired(Event, frozen=True, kw_only=True, omit_defaults=True, tag="schedule.fired"):
    """A run was started for the instant: the envelope's run_id, which follows from schedule and instant.

    at_instant: as the rule says. due_at: the instant and its jitter. late_ms: from due_at to this decision.
    backfill: somebody asked for a range of the past (or future); it is no step in the schedule's own course.
    cancelled: the runs that were cancelled for it.
    """

    schedule_id: str
    at_instant: Instant
    due_at: Instant
    late_ms: int = 0
    backfill: bool = False
    by: str = ""
    cancelled: list[str] = []


class ScheduleDeferred(Event, frozen=True, kw_only=True, omit_defaults=True, tag="schedule.deferred"):
    """The instant is due and waits until the runs before it have ended. behind: one of them."""

    schedule_id: str
    at_instant: Instant
    due_at: Instant
    behind: str = ""


class ScheduleSkipped(Event, frozen=True, kw_only=True, omit_defaults=True, tag="schedule.skipped"):
    """No run is started for the instant, or for all `count` of them from `at_instant` through `through`.

    reason: they passed while no engine was there and the schedule does not catch up on them; they were too late; a run
    before them had not ended; or the run was refused (its parameters do not fit, its flow is not there). detail: in words.
    late_ms: of the last of them, from its instant and jitter to this decision.
    """

    schedule_id: str
    at_instant: Instant
    reason: SkipReason
    detail: str = ""
    late_ms: int = 0
    through: Instant | None = None
    count: int = 1


class ScheduleCondensed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="schedule.condensed"):
    """All that the events before it on the subject come to: they are not needed any more. The fields are those of the
    fold, `folds.schedule.Schedule`.
    """

    schedule_id: str
    flow_id: str
    flow_name: str
    spec: ScheduleSpec
    made_by: ScheduleSource
    created_at: Instant
    updated_at: Instant
    decided_through: Instant
    paused: bool = False
    paused_by: str = ""
    deferred: list[Instant] = []
    fired: int = 0
    skipped: int = 0
    last_fired_at: Instant | None = None
    last_instant: Instant | None = None
    last_run_id: str | None = None
    last_late_ms: int | None = None
