"""What the clocks of a zone do at an instant, for people who wonder at its local time."""

from datetime import datetime, timedelta, tzinfo

from perfect_runtime.occurrence import zone


def note(instant: datetime, before: datetime, tz: tzinfo) -> str:
    """before: the instant of the schedule before it, or any moment since then. Empty when nothing is odd about it."""
    now = zone.offset(instant, tz)
    just_before = zone.offset(instant - zone.SECOND, tz)
    local = zone.local(instant, tz)
    if just_before != now:
        skipped = local - (now - just_before)
        way = "forward" if now > just_before else "back"
        return f"the clocks are put {way} from {skipped:%H:%M} to {local:%H:%M} at this moment"
    first, second = (_offset(local, tz, fold) for fold in (0, 1))
    if first > second:
        return f"{local:%H:%M} comes twice on this day: this is the {'first' if now == first else 'second'}"
    if zone.offset(before, tz) != now:
        changed = zone.change(tz, before, instant)
        way = "forward" if now > zone.offset(before, tz) else "back"
        return f"the clocks have been put {way} since the one before, on {zone.local(changed, tz):%Y-%m-%d at %H:%M}"
    return ""


def _offset(local: datetime, tz: tzinfo, fold: int) -> timedelta:
    found = local.replace(tzinfo=tz, fold=fold).utcoffset()
    assert found is not None
    return found
