"""Which schedules are kept and what is said of them: pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from perfect_runtime import occurrence
from perfect_schemas import ids
from perfect_schemas.commands import RegisterFlow, ScheduleView
from perfect_schemas.envelope import Event
from perfect_schemas.errors import FieldError, InvalidInput, NotFound, PerfectError, refuse
from perfect_schemas.events.schedule import (
    ScheduleCreated,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleUpdated,
)
from perfect_schemas.folds.flow import Flow
from perfect_schemas.folds.schedule import Schedule
from perfect_schemas.schedule import ScheduleSource, ScheduleSpec, describe, from_text

SOURCE = "registry"
MAX_A_FLOW = 1000


class Stamp(msgspec.Struct, frozen=True):
    """What a decision needs from outside: the time, the id of the event it may make, and who wants it."""

    now: datetime
    event_id: str
    by: str = ""

    @property
    def envelope(self) -> dict[str, Any]:
        """What every event begins with that says it."""
        return {"id": self.event_id, "at": self.now, "source": SOURCE, "by": self.by}


def save(
    schedule: Schedule | None, flow: Flow, spec: ScheduleSpec, stamp: Stamp, *, made_by: ScheduleSource
) -> Sequence[Event]:
    """The spec has been checked. Nothing when it is kept like this already. What code gave a flow stays the code's when
    somebody changes it.
    """
    schedule_id = ids.schedule_id(flow.id, spec.name)
    if schedule is None or schedule.removed:
        return (
            ScheduleCreated(
                **stamp.envelope,
                schedule_id=schedule_id,
                flow_id=flow.id,
                flow_name=flow.name,
                spec=spec,
                made_by=made_by,
            ),
        )
    made_by = "code" if "code" in (made_by, schedule.made_by) else "api"
    if schedule.spec == spec and schedule.made_by == made_by:
        return ()
    return (ScheduleUpdated(**stamp.envelope, schedule_id=schedule_id, spec=spec, made_by=made_by),)


def pause(schedule: Schedule | None, stamp: Stamp) -> Sequence[Event]:
    """Raises NotFound."""
    if _known(schedule).paused:
        return ()
    return (SchedulePaused(**stamp.envelope, schedule_id=_known(schedule).id),)


def resume(schedule: Schedule | None, stamp: Stamp) -> Sequence[Event]:
    """Raises NotFound."""
    if not _known(schedule).paused:
        return ()
    return (ScheduleResumed(**stamp.envelope, schedule_id=_known(schedule).id),)


def remove(schedule: Schedule | None, stamp: Stamp, reason: str = "") -> Sequence[Event]:
    """Raises NotFound for one that never was. Removing what is removed says nothing."""
    if schedule is not None and schedule.removed:
        return ()
    return (ScheduleRemoved(**stamp.envelope, schedule_id=_known(schedule).id, reason=reason),)


def vanished(
    kept: Sequence[Schedule], flow_id: str, deployment: str | None, declared: Sequence[ScheduleSpec]
) -> list[str]:
    """Ids of those that code gave the flow (or the deployment) before, and does not any more."""
    names = {spec.name for spec in declared}
    return [
        one.id
        for one in kept
        if one.flow_id == flow_id
        and one.made_by == "code"
        and not one.removed
        and one.spec.deployment == deployment
        and one.spec.name not in names
    ]


def declared(specs: Sequence[ScheduleSpec], deployment: str | None) -> list[ScheduleSpec]:
    """As they are kept: each belonging to the deployment. Raises InvalidInput naming every wrong field of every one."""
    errors: list[FieldError] = []
    if len(specs) > MAX_A_FLOW:
        errors.append(FieldError("schedules", f"are more than {MAX_A_FLOW:,}"))
    names: set[str] = set()
    for n, spec in enumerate(specs):
        if spec.name in names:
            errors.append(FieldError(f"schedules.{n}.name", f"{spec.name!r} is the name of another one, too"))
        names.add(spec.name)
        try:
            occurrence.check(spec, f"schedules.{n}.")
        except InvalidInput as error:
            errors += error.errors
    refuse("the schedules cannot be kept", errors)
    return [msgspec.structs.replace(spec, deployment=deployment) for spec in specs]


def of_registration(command: RegisterFlow) -> list[ScheduleSpec] | None:
    """All that the registered code gives the flow itself; None when it says nothing of schedules. A definition that comes as
    text (over HTTP) may carry a cron line. Raises InvalidInput.
    """
    if command.schedules is not None:
        return declared(command.schedules, None)
    spec = from_text(command.schedule)
    return declared([spec], None) if spec is not None else None


def view(schedule: Schedule, now: datetime) -> ScheduleView:
    next_at, next_due_at = _next(schedule, now)
    return ScheduleView(
        id=schedule.id,
        flow_id=schedule.flow_id,
        flow_name=schedule.flow_name,
        name=schedule.spec.name,
        text=describe(schedule.spec),
        spec=schedule.spec,
        made_by=schedule.made_by,
        paused=schedule.paused,
        created_at=schedule.created_at,
        updated_at=schedule.updated_at,
        paused_by=schedule.paused_by,
        next_at=next_at,
        next_due_at=next_due_at,
        deferred=schedule.deferred,
        fired=schedule.fired,
        skipped=schedule.skipped,
        last_fired_at=schedule.last_fired_at,
        last_instant=schedule.last_instant,
        last_run_id=schedule.last_run_id,
        last_late_ms=schedule.last_late_ms,
    )


def _next(schedule: Schedule, now: datetime) -> tuple[datetime | None, datetime | None]:
    if not schedule.is_live:
        return None, None
    try:
        return next(occurrence.with_due(schedule.spec, schedule.id, now), (None, None))
    except (ValueError, PerfectError):  # its zone was known to the machine that kept it, and is not here
        return None, None


def _known(schedule: Schedule | None) -> Schedule:
    if schedule is None or schedule.removed:
        raise NotFound("there is no such schedule")
    return schedule
