"""Cron expressions: five fields, or six with seconds first. cronsim knows the calendar; zones are ours, so that five and
six fields obey the same rule.
"""

from collections.abc import Iterator
from datetime import datetime

from cronsim import CronSim, CronSimError

from perfect_runtime.occurrence import zone

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


def expression(text: str) -> str:
    """Nicknames written out. Raises ValueError."""
    text = text.strip()
    if text.startswith("@"):
        if (known := NICKNAMES.get(text.lower())) is None:
            raise ValueError(f"{text!r} is not known; known: {', '.join(NICKNAMES)}")
        return known
    fields = len(text.split())
    if fields not in (5, 6):
        raise ValueError(
            "must have five fields (minute hour day month weekday) or six (seconds first), "
            f"not {fields}: {text[:100]!r}"
        )
    return text


def check(text: str) -> None:
    """Raises ValueError."""
    written = expression(text)
    try:
        found = next(CronSim(written, datetime(2024, 1, 1)), None)  # noqa: DTZ001
    except CronSimError as error:
        raise ValueError(f"is no cron expression: {error} in {text[:100]!r}") from error
    if found is None:
        raise ValueError(f"means no day that ever comes: {text[:100]!r}")


def after(text: str, timezone: str | None, instant: datetime) -> Iterator[datetime]:
    written = expression(text)
    minute, hour = written.split()[-5:-3]

    def following(local: datetime) -> datetime | None:
        return next(CronSim(written, local), None)

    tz = zone.zone(timezone)
    names_times = not minute.startswith("*") and not hour.startswith("*")
    walk = zone.each_day if names_times else zone.each_local_time
    return walk(instant, tz, following)
