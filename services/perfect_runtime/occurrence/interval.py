"""Intervals. Of whole days: the same local time every n days. Any other: elapsed time from the anchor on, both ways."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from perfect_runtime.occurrence import zone
from perfect_schemas.schedule import DAY_MS

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  in whatever zone


def after(interval_ms: int, anchor: datetime | None, tz: tzinfo, instant: datetime) -> Iterator[datetime]:
    step = timedelta(milliseconds=interval_ms)
    if interval_ms % DAY_MS == 0:
        start = EPOCH if anchor is None else zone.local(anchor, tz)

        def following(local: datetime) -> datetime:
            return start + ((local - start) // step + 1) * step

        yield from zone.each_day(instant, tz, following)
        return
    first = EPOCH.replace(tzinfo=tz).astimezone(UTC) if anchor is None else anchor.astimezone(UTC)
    n = (instant - first) // step + 1
    while True:
        yield first + n * step
        n += 1
