"""Local times as instants, through changes of the clocks. Local: a naive datetime; instant: one in UTC."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
LONGEST = DAY  # no zone has ever moved its clocks by more

Next = Callable[[datetime], datetime | None]
"""The first local time after the given one at which the rule holds; None when there is none."""


@lru_cache(maxsize=256)
def zone(name: str | None) -> tzinfo:
    """Raises ValueError for a name that the time zone database does not know."""
    if name is None or name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except Exception as error:  # also IsADirectoryError, for "Europe"
        raise ValueError(f"there is no time zone {name!r}; use a name like Europe/Rome") from error


def local(instant: datetime, tz: tzinfo) -> datetime:
    return instant.astimezone(tz).replace(tzinfo=None, fold=0)


def offset(instant: datetime, tz: tzinfo) -> timedelta:
    found = instant.astimezone(tz).utcoffset()
    assert found is not None
    return found


def change(tz: tzinfo, before: datetime, after: datetime) -> datetime:
    """The instant, to the second, from which on the offset is not that of `before` any more. `after`: one with another."""
    old = offset(before, tz)
    low, high = before.replace(microsecond=0), after.replace(microsecond=0) + SECOND
    while high - low > SECOND:
        middle = low + (high - low) // 2
        middle = middle.replace(microsecond=0)
        if offset(middle, tz) == old:
            low = middle
        else:
            high = middle
    return high


def instant_of(local_time: datetime, tz: tzinfo) -> datetime:
    """A local time that comes twice: the first. One that is skipped: the moment the clocks have been put forward."""
    first = local_time.replace(tzinfo=tz, fold=0).astimezone(UTC)
    if local(first, tz) == local_time:
        return first
    return change(tz, local_time.replace(tzinfo=tz, fold=1).astimezone(UTC), first)


def each_day(after: datetime, tz: tzinfo, following: Next) -> Iterator[datetime]:
    """For rules that name times of the day: every one of them once, also when the clocks skip or repeat it."""
    last, at = after, following(local(after, tz))
    while at is not None:
        instant = instant_of(at, tz)
        if instant > last:
            yield instant
            last = instant
        at = following(at)


def each_local_time(after: datetime, tz: tzinfo, following: Next) -> Iterator[datetime]:
    """For rules that hold at any hour: whenever the clocks show such a time. From one change of the clocks to the next
    the offset is the same, and local time goes on like the instants.
    """
    instant, is_included = after, False
    while True:
        now = offset(instant, tz)
        here = (instant + now).replace(tzinfo=None)
        at = following(here - SECOND if is_included else here)
        found = (at - now).replace(tzinfo=UTC) if at is not None else None
        near = instant + LONGEST if found is None else min(found, instant + LONGEST)
        changed = next((one for one in (near, found) if one is not None and offset(one, tz) != now), None)
        if changed is not None:
            instant, is_included = change(tz, instant, changed), True
            continue
        if found is None:
            return
        yield found
        instant, is_included = found, False
