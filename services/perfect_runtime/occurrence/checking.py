"""Whether a rule means anything."""

from perfect_runtime.occurrence import cron, rrule, zone
from perfect_schemas.errors import FieldError, refuse
from perfect_schemas.schedule import ScheduleSpec, shape_errors


def check(spec: ScheduleSpec, at: str = "") -> None:
    """Raises InvalidInput naming every wrong field. at: what their paths begin with, as `schedules.0.`."""
    errors = shape_errors(spec)
    if not any(error.field == spec.kind for error in errors):
        errors += _calendar_errors(spec)
    refuse(
        f"schedule {spec.name[:100]!r} cannot be kept",
        [FieldError(at + error.field, error.message) for error in errors],
    )


def _calendar_errors(spec: ScheduleSpec) -> list[FieldError]:
    try:
        zone.zone(spec.timezone)
    except ValueError as error:
        return [FieldError("timezone", str(error))]
    try:
        if spec.kind == "cron" and spec.cron is not None:
            cron.check(spec.cron)
        elif spec.kind == "rrule" and spec.rrule is not None:
            rrule.check(spec.rrule, spec.timezone, spec.anchor)
    except (ValueError, OverflowError) as error:
        return [FieldError(spec.kind, str(error))]
    return []
