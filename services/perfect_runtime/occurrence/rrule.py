"""Recurrence rules by RFC 5545: RRULE lines, and DTSTART, RDATE, EXDATE beside them. dateutil knows the calendar; it is
asked in local time, and the zone is ours.
"""

import calendar
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

import msgspec
from dateutil.rrule import rrule, rrulestr

from perfect_runtime.occurrence import zone

START = datetime(2020, 1, 1)  # noqa: DTZ001  where a rule without DTSTART begins, in whatever zone
MAX_COUNT = 10_000
_STEPS = {
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
    "SECONDLY": timedelta(seconds=1),
}
_ANY_HOUR = ("HOURLY", "MINUTELY", "SECONDLY")
_LINE = re.compile(r"(?P<name>[A-Z]+)(?:;(?P<options>[^:]*))?:(?P<value>.*)")


class Recurrence(msgspec.Struct, frozen=True):
    """rules: with the step by which the beginning of each can be moved on without changing what follows, None where it
    cannot. added, left_out: single local times.
    """

    zone: tzinfo
    rules: tuple[tuple[Any, timedelta | None], ...]
    added: tuple[datetime, ...]
    left_out: frozenset[datetime]
    at_any_hour: bool


def after(text: str, timezone: str | None, anchor: datetime | None, instant: datetime) -> Iterator[datetime]:
    found = parse(text, timezone, anchor)

    def following(local: datetime) -> datetime | None:
        at: datetime | None = local
        while at is not None:
            at = _next(found, at)
            if at not in found.left_out:
                return at
        return None

    walk = zone.each_local_time if found.at_any_hour else zone.each_day
    return walk(instant, found.zone, following)


def check(text: str, timezone: str | None, anchor: datetime | None) -> None:
    """Raises ValueError."""
    found = parse(text, timezone, anchor)
    if all(_next_of(rule, step, datetime.min + timedelta(days=1)) is None for rule, step in found.rules):  # noqa: DTZ901
        raise ValueError(f"means no time that ever comes: {text[:100]!r}")


def _next(found: Recurrence, local: datetime) -> datetime | None:
    candidates = [_next_of(rule, step, local) for rule, step in found.rules]
    candidates.append(min((one for one in found.added if one > local), default=None))
    return min((one for one in candidates if one is not None), default=None)


def _next_of(rule: Any, step: timedelta | None, local: datetime) -> datetime | None:
    """A rule begins at its first occurrence: from there, without moving it on, a second's rule would take for ever."""
    if step is not None and (steps := (local - rule._dtstart) // step - 1) > 0:
        rule = rule.replace(dtstart=rule._dtstart + steps * step)
    return rule.after(local)


@lru_cache(maxsize=256)
def parse(text: str, timezone: str | None, anchor: datetime | None) -> Recurrence:
    """Raises ValueError saying what is wrong."""
    lines = [_line(line) for line in text.replace("\\n", "\n").splitlines() if line.strip()]
    tz, start = _beginning(lines, timezone, anchor)
    rules, added, left_out = [], [], []
    freqs: set[str] = set()
    for name, options, value in lines:
        if name == "RRULE":
            parts = _parts(value)
            freqs.add(parts["FREQ"])
            rules.append(_rule(parts, start, tz))
        elif name in ("RDATE", "EXDATE"):
            where = zone.zone(options.get("TZID")) if "TZID" in options else tz
            times = [_local(one, where, tz) for one in value.split(",")]
            (added if name == "RDATE" else left_out).extend(times)
    if not rules:
        raise ValueError(f"has no RRULE: {text[:100]!r}")
    return Recurrence(
        zone=tz,
        rules=tuple(rules),
        added=tuple(added),
        left_out=frozenset(left_out),
        at_any_hour=bool(freqs.intersection(_ANY_HOUR)),
    )


def _line(text: str) -> tuple[str, dict[str, str], str]:
    text = text.strip().upper() if "TZID" not in text.upper() else text.strip()
    if text.upper().startswith("FREQ="):
        return "RRULE", {}, text.upper()
    match = _LINE.fullmatch(text)
    if match is None or match["name"] not in ("RRULE", "DTSTART", "RDATE", "EXDATE"):
        raise ValueError(f"only RRULE, DTSTART, RDATE and EXDATE are known, not {text[:100]!r}")
    options = _pairs(match["options"] or "")
    return match["name"], options, match["value"]


def _pairs(text: str) -> dict[str, str]:
    """`A=1;B=2`"""
    found: dict[str, str] = {}
    for part in filter(None, text.split(";")):
        name, _, value = part.partition("=")
        found[name] = value
    return found


def _beginning(
    lines: list[tuple[str, dict[str, str], str]], timezone: str | None, anchor: datetime | None
) -> tuple[tzinfo, datetime]:
    starts = [(options, value) for name, options, value in lines if name == "DTSTART"]
    if len(starts) > 1:
        raise ValueError("has more than one DTSTART")
    named = starts[0][0].get("TZID") if starts else None
    if named is not None and timezone not in (None, named):
        raise ValueError(f"its DTSTART is in {named}, the schedule in {timezone}: say it once")
    tz = zone.zone(named or timezone)
    if starts:
        return tz, _local(starts[0][1], tz, tz)
    return tz, zone.local(anchor, tz) if anchor is not None else START


def _parts(value: str) -> dict[str, str]:
    parts = _pairs(value.upper())
    if "FREQ" not in parts:
        raise ValueError(f"has no FREQ: {value[:100]!r}")
    if int(parts.get("COUNT", "0")) > MAX_COUNT:
        raise ValueError(f"has a COUNT above {MAX_COUNT:,}: use UNTIL, or neither")
    months = [int(one) for one in parts.get("BYMONTH", "").split(",") if one] or list(range(1, 13))
    days = [abs(int(one)) for one in parts.get("BYMONTHDAY", "").split(",") if one]
    if not all(1 <= month <= 12 for month in months):
        raise ValueError(f"has a BYMONTH that is no month: {value[:100]!r}")
    if days and min(days) > max(calendar.monthrange(2024, month)[1] for month in months):
        raise ValueError(f"means no day that ever comes: {value[:100]!r}")
    return parts


def _rule(parts: dict[str, str], start: datetime, tz: tzinfo) -> tuple[rrule, timedelta | None]:
    if "UNTIL" in parts:
        parts = parts | {"UNTIL": f"{_local(parts['UNTIL'], tz, tz):%Y%m%dT%H%M%S}"}
    try:
        rule = rrulestr(";".join(f"{name}={value}" for name, value in parts.items()), dtstart=start)
    except Exception as error:
        raise ValueError(f"is no recurrence rule: {error}") from error
    assert isinstance(rule, rrule)
    step = _STEPS.get(parts["FREQ"]) if "COUNT" not in parts else None
    return rule, step * int(parts.get("INTERVAL", "1")) if step is not None else None


def _local(text: str, where: tzinfo, tz: tzinfo) -> datetime:
    """A DATE, a local DATE-TIME of `where`, or one in UTC, as the local time of `tz`."""
    text = text.strip().upper()
    try:
        if "T" not in text:
            return datetime.strptime(text, "%Y%m%d")  # noqa: DTZ007
        at = datetime.strptime(text.removesuffix("Z"), "%Y%m%dT%H%M%S")  # noqa: DTZ007
    except ValueError:
        raise ValueError(f"has a time that is none: {text[:40]!r}") from None
    if text.endswith("Z"):
        return zone.local(at.replace(tzinfo=UTC), tz)
    return at if where is tz else zone.local(zone.instant_of(at, where), tz)
