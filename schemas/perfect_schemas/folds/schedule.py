"""What is known of one schedule, from the events on `perfect.evt.schedule.<schedule_id>`."""

from datetime import datetime

import msgspec

from perfect_schemas.envelope import Event
from perfect_schemas.events import schedule as e
from perfect_schemas.schedule import ScheduleSource, ScheduleSpec, timing


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """decided_through: instants up to this one have been decided on, or passed before it counted; the next decision
    is about the first after it. deferred: instants that wait for the end of earlier runs, in order.
    fired, skipped: how many instants, backfills included. last_*: of the last run it started in its own course.
    """

    id: str
    flow_id: str
    flow_name: str
    spec: ScheduleSpec
    made_by: ScheduleSource
    created_at: datetime
    updated_at: datetime
    decided_through: datetime
    last_seq: int = 0
    paused: bool = False
    paused_by: str = ""
    deferred: list[datetime] = []
    fired: int = 0
    skipped: int = 0
    last_fired_at: datetime | None = None
    last_instant: datetime | None = None
    last_run_id: str | None = None
    last_late_ms: int | None = None
    removed: bool = False

    @property
    def is_live(self) -> bool:
        """It fires by itself."""
        return not (self.paused or self.removed)


def evolve(schedule: Schedule | None, event: Event, seq: int) -> Schedule | None:
    """The schedule after `event`, which stands at `seq` on DEFS. A removed one stays, as such, until it is created again."""
    match event:
        case e.ScheduleCreated():
            return _created(event, seq)
        case e.ScheduleCondensed():
            return _condensed(event, seq)
    if schedule is None or schedule.removed:
        return schedule
    match event:
        case e.ScheduleUpdated():
            return _updated(schedule, event, seq)
        case e.SchedulePaused():
            return _with(schedule, seq, paused=True, paused_by=event.by, deferred=[])
        case e.ScheduleResumed():
            through = max(schedule.decided_through, event.at)
            return _with(schedule, seq, paused=False, paused_by="", decided_through=through)
        case e.ScheduleRemoved():
            return _with(schedule, seq, removed=True, deferred=[])
        case e.ScheduleFired():
            return _fired(schedule, event, seq)
        case e.ScheduleDeferred():
            return _with(
                schedule,
                seq,
                decided_through=max(schedule.decided_through, event.at_instant),
                deferred=[*schedule.deferred, event.at_instant],
            )
        case e.ScheduleSkipped():
            through = event.through or event.at_instant
            return _with(
                schedule,
                seq,
                decided_through=max(schedule.decided_through, through),
                deferred=[one for one in schedule.deferred if not event.at_instant <= one <= through],
                skipped=schedule.skipped + event.count,
            )
    return schedule


def _with(schedule: Schedule, seq: int, **changes: object) -> Schedule:
    return msgspec.structs.replace(schedule, last_seq=seq, **changes)


def _created(event: e.ScheduleCreated, seq: int) -> Schedule:
    return Schedule(
        id=event.schedule_id,
        flow_id=event.flow_id,
        flow_name=event.flow_name,
        spec=event.spec,
        made_by=event.made_by,
        created_at=event.at,
        updated_at=event.at,
        decided_through=event.at,
        last_seq=seq,
        paused=not event.spec.active,
    )


def _updated(schedule: Schedule, event: e.ScheduleUpdated, seq: int) -> Schedule:
    changes: dict[str, object] = {"spec": event.spec, "made_by": event.made_by, "updated_at": event.at}
    if timing(event.spec) != timing(schedule.spec):
        changes |= {"decided_through": max(schedule.decided_through, event.at), "deferred": []}
    if event.spec.active != schedule.spec.active:
        changes |= {"paused": not event.spec.active, "paused_by": ""}
        if event.spec.active and schedule.paused:
            changes["decided_through"] = max(schedule.decided_through, event.at)
    return _with(schedule, seq, **changes)


def _fired(schedule: Schedule, event: e.ScheduleFired, seq: int) -> Schedule:
    if event.backfill:
        return _with(schedule, seq, fired=schedule.fired + 1)
    return _with(
        schedule,
        seq,
        decided_through=max(schedule.decided_through, event.at_instant),
        deferred=[one for one in schedule.deferred if one != event.at_instant],
        fired=schedule.fired + 1,
        last_fired_at=event.at,
        last_instant=event.at_instant,
        last_run_id=event.run_id,
        last_late_ms=event.late_ms,
    )


def _condensed(event: e.ScheduleCondensed, seq: int) -> Schedule:
    return Schedule(
        id=event.schedule_id,
        flow_id=event.flow_id,
        flow_name=event.flow_name,
        spec=event.spec,
        made_by=event.made_by,
        created_at=event.created_at,
        updated_at=event.updated_at,
        decided_through=event.decided_through,
        last_seq=seq,
        paused=event.paused,
        paused_by=event.paused_by,
        deferred=event.deferred,
        fired=event.fired,
        skipped=event.skipped,
        last_fired_at=event.last_fired_at,
        last_instant=event.last_instant,
        last_run_id=event.last_run_id,
        last_late_ms=event.last_late_ms,
    )
