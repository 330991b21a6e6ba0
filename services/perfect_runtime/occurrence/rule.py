"""The instants of any kind of rule."""

from collections.abc import Iterator
from datetime import UTC, datetime

from perfect_runtime.occurrence import cron, interval, rrule, zone
from perfect_schemas.schedule import ScheduleSpec


def after(spec: ScheduleSpec, instant: datetime) -> Iterator[datetime]:
    """Those after `instant`, ascending, in UTC; never one twice. The spec has been checked."""
    instant = instant.astimezone(UTC)
    match spec.kind:
        case "cron":
            assert spec.cron is not None
            return cron.after(spec.cron, spec.timezone, instant)
        case "interval":
            assert spec.interval_ms is not None
            return interval.after(spec.interval_ms, spec.anchor, zone.zone(spec.timezone), instant)
        case "rrule":
            assert spec.rrule is not None
            return rrule.after(spec.rrule, spec.timezone, spec.anchor, instant)
        case "once":
            assert spec.at is not None
            return iter([spec.at.astimezone(UTC)] if spec.at > instant else [])
