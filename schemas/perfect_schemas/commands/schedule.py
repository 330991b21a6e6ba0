"""Schedules: kept by the registry, computed and fired by the engine."""

from datetime import datetime

import msgspec

from perfect_schemas.schedule import ScheduleSource, ScheduleSpec


class SaveSchedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.save_schedule`. Answer: ScheduleView. Makes it, or takes the place of the flow's one of that
    name. flow: id or name. InvalidInput names every wrong field.
    """

    flow: str
    spec: ScheduleSpec
    by: str = ""


class DeclareSchedules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.declare_schedules`. Answer: list[ScheduleView] by name. These are all the schedules that the
    code gives the flow (deployment None) or one deployment of it: what code declared before and does not any more is
    removed. A pause of a person's survives unless the spec's own `active` changes.
    """

    flow: str
    schedules: list[ScheduleSpec]
    deployment: str | None = None
    by: str = ""


class PauseSchedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.pause_schedule`. Answer: ScheduleView. Harmless when it is paused."""

    schedule_id: str
    by: str = ""


class ResumeSchedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.resume_schedule`. Answer: ScheduleView. Harmless when it is not paused."""

    schedule_id: str
    by: str = ""


class RemoveSchedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.remove_schedule`. Answer: Done. Runs that it has started go on."""

    schedule_id: str
    by: str = ""


class ShowSchedules(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.schedules`. Answer: list[ScheduleView] by flow and name. flow: id or name; None: of all."""

    flow: str | None = None
    deployment: str | None = None


class ShowSchedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.schedule`. Answer: ScheduleView, or NotFound. schedule: id, or FLOW/NAME by names."""

    schedule: str


class ScheduleView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A schedule as it stands. text: its rule in one line. next_at: the next instant, None when it is paused or over;
    next_due_at: that and its jitter. deferred: instants that wait for the end of earlier runs.
    """

    id: str
    flow_id: str
    flow_name: str
    name: str
    text: str
    spec: ScheduleSpec
    made_by: ScheduleSource
    paused: bool
    created_at: datetime
    updated_at: datetime
    paused_by: str = ""
    next_at: datetime | None = None
    next_due_at: datetime | None = None
    deferred: list[datetime] = []
    fired: int = 0
    skipped: int = 0
    last_fired_at: datetime | None = None
    last_instant: datetime | None = None
    last_run_id: str | None = None
    last_late_ms: int | None = None


class BackfillSchedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.engine.backfill_schedule`. Answer: Backfilled. Starts a run for each instant from `since` (included)
    to `until` (not included) that has none. At most 1,000 instants: InvalidInput beyond. Repeating it starts nothing new.

    schedule_id: paused ones, too. dry_run: just say which.
    """

    schedule_id: str
    since: datetime
    until: datetime
    by: str = ""
    dry_run: bool = False


class BackfilledInstant(msgspec.Struct, frozen=True, kw_only=True):
    """new: False when its run was there already."""

    at_instant: datetime
    run_id: str
    new: bool


class Backfilled(msgspec.Struct, frozen=True, kw_only=True):
    """started: how many runs are new; with dry_run, would be."""

    schedule_id: str
    instants: list[BackfilledInstant]
    started: int
    dry_run: bool
