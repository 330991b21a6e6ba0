"""A schedule's rule as a person would say it: `at 02:30 every day, Europe/Rome`. What cannot be said so stays as it is
written.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from perfect_schemas.schedule import DAY_MS, ScheduleSpec, describe

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}
MOST_TIMES = 6
_NICKNAMES = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_PART = re.compile(r"(\d+)(?:-(\d+))?(?:/(\d+))?")
_NTH = re.compile(r"(\d)#(\d)")
_LAST = re.compile(r"L(\d)|(\d)L")
_NAMES = {name[:3].upper(): n for n, name in enumerate(DAYS)} | {
    name[:3].upper(): n for n, name in enumerate(MONTHS, 1)
}
_NAMED = re.compile("|".join(_NAMES))
_RRULE_DAYS: dict[str, str] = dict(zip(("SU", "MO", "TU", "WE", "TH", "FR", "SA"), DAYS, strict=True))
_UNITS = {
    "SECONDLY": "second", "MINUTELY": "minute", "HOURLY": "hour", "DAILY": "day", "WEEKLY": "week", "MONTHLY": "month",
    "YEARLY": "year",
}  # fmt: skip


class _Unsayable(Exception):
    """The rule is not one of those that are easily said."""


def words(spec: ScheduleSpec) -> str:
    """`every 15 minutes`, `at 09:00 Monday to Friday, Europe/Rome`. With the zone wherever clocks matter."""
    zone = f", {spec.timezone or 'UTC'}"
    try:
        match spec.kind:
            case "cron":
                return _cron(spec.cron or "") + zone
            case "interval":
                return _interval(spec) + (zone if (spec.interval_ms or 0) % DAY_MS == 0 else "")
            case "rrule":
                return _rrule(spec.rrule or "") + zone
            case "once" if spec.at is not None:
                return f"once, at {spec.at.astimezone(_zone(spec.timezone)):%Y-%m-%d %H:%M:%S}{zone}".replace(
                    ":00,", ","
                )
    except (_Unsayable, ValueError, LookupError, OSError):
        pass
    return describe(spec) if spec.kind != "once" or spec.at is not None else "once"


def _zone(name: str | None) -> tzinfo:
    return UTC if name in (None, "UTC") else ZoneInfo(name)


def _interval(spec: ScheduleSpec) -> str:
    said = describe(spec).removesuffix(f" {spec.timezone}")
    if (spec.interval_ms or 0) % DAY_MS:
        return said
    at = spec.anchor.astimezone(_zone(spec.timezone)) if spec.anchor else datetime(1970, 1, 1, tzinfo=UTC)
    return f"{said} at {at:%H:%M}"


# -- cron


def _cron(text: str) -> str:
    fields = _NICKNAMES.get(text.lower(), text).upper().split()
    second = fields.pop(0) if len(fields) == 6 else "0"
    if len(fields) != 5:
        raise _Unsayable
    minute, hour, day, month, weekday = fields
    days = _days(day, weekday, month)
    if not second.isdecimal():
        if (minute, hour) != ("*", "*"):
            raise _Unsayable
        return _joined(_every(second, "second"), days)
    time = _time(minute, hour)
    if second != "0":
        if not (minute.isdecimal() and hour.isdecimal()):
            raise _Unsayable
        time += f":{int(second):02d}"
    return _joined(time, days or ("every day" if time.startswith("at ") else ""))


def _joined(*parts: str) -> str:
    return " ".join(filter(None, parts))


def _every(field: str, unit: str) -> str:
    """Of `*` and `*/n`."""
    if field == "*":
        return f"every {unit}"
    if match := re.fullmatch(r"\*/(\d+)", field):
        return f"every {unit}" if match[1] == "1" else f"every {match[1]} {unit}s"
    raise _Unsayable


def _time(minute: str, hour: str) -> str:
    if minute.startswith("*"):
        said = _every(minute, "minute")
        if hour == "*":
            return said
        if match := re.fullmatch(r"(\d+)(?:-(\d+))?", hour):
            return f"{said} from {int(match[1]):02d}:00 to {int(match[2] or match[1]):02d}:59"
        raise _Unsayable
    minutes = _numbers(minute, 59)
    if hour.startswith("*"):
        at = (
            ""
            if minutes == [0]
            else f" at minute{'s' if len(minutes) > 1 else ''} {_list(map(str, minutes))}"
        )
        return _every(hour, "hour") + (at or ", on the hour")
    if (match := re.fullmatch(r"(\d+)-(\d+)", hour)) and len(minutes) == 1:
        return f"every hour from {int(match[1]):02d}:{minutes[0]:02d} to {int(match[2]):02d}:{minutes[0]:02d}"
    times = [f"{at:02d}:{past:02d}" for at in _numbers(hour, 23) for past in minutes]
    if len(times) > MOST_TIMES:
        raise _Unsayable
    return f"at {_list(times)}"


def _numbers(field: str, most: int) -> list[int]:
    """What a field of numbers, ranges and steps means."""
    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise _Unsayable
        first, step = int(match[1]), int(match[3] or 1)
        last = int(match[2]) if match[2] else (most if match[3] else first)
        if step < 1 or first > most or last > most:
            raise _Unsayable
        found.update(range(first, last + 1, step))
    return sorted(found)


def _days(day: str, weekday: str, month: str) -> str:
    months = "" if month == "*" else _spans(_named(month), MONTHS, 1)
    of_month = "" if day in ("*", "?") else f"on {_of_month(day)} of {months or 'every month'}"
    of_week = "" if weekday in ("*", "?") else _of_week(weekday)
    if months and (of_week or not of_month):
        of_week = f"{of_week or 'every day'} in {months}"
    return f"{of_month} and {of_week}" if of_month and of_week else of_month or of_week


def _of_month(day: str) -> str:
    if day == "L":
        return "the last day"
    if day == "LW":
        return "the last working day"
    days = _numbers(day, 31)
    if len(days) > MOST_TIMES:
        raise _Unsayable
    return f"day{'s' if len(days) > 1 else ''} {_list(map(str, days))}"


def _of_week(weekday: str) -> str:
    field = _named(weekday)
    if match := _NTH.fullmatch(field):
        return f"on the {ORDINALS[int(match[2])]} {DAYS[int(match[1]) % 7]} of every month"
    if match := _LAST.fullmatch(field):
        return f"on the last {DAYS[int(match[1] or match[2]) % 7]} of every month"
    return f"every {DAYS[int(field) % 7]}" if field.isdecimal() else _spans(field, DAYS, 0)


def _named(field: str) -> str:
    """MON, JAN … as numbers."""
    return _NAMED.sub(lambda match: str(_NAMES[match[0]]), field)


def _spans(field: str, names: Sequence[str], first: int) -> str:
    """`1-5` → Monday to Friday; `1,3` → Monday and Wednesday."""
    said = []
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None or match[3]:
            raise _Unsayable
        ends = [names[(int(one) - first) % len(names)] for one in match.groups()[:2] if one]
        said.append(" to ".join(ends))
    return _list(said)


def _list(parts: "Sequence[str] | map[str]") -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


# -- recurrence rules


def _rrule(text: str) -> str:
    lines = [line for line in text.replace("\\n", "\n").splitlines() if line.strip()]
    rules = [line.upper().removeprefix("RRULE:") for line in lines if not line.upper().startswith("DTSTART")]
    if len(rules) != 1 or "=" not in rules[0]:
        raise _Unsayable
    parts = dict(part.split("=", 1) for part in rules[0].split(";") if part)
    unit, count = _UNITS[parts.pop("FREQ", "")], int(parts.pop("INTERVAL", "1"))
    said = [f"every {unit}" if count == 1 else f"every {count} {unit}s"]
    hours, minutes = parts.pop("BYHOUR", ""), parts.pop("BYMINUTE", "")
    if parts.pop("BYSECOND", "0") != "0":
        raise _Unsayable
    if days := parts.pop("BYDAY", ""):
        said.append("on " + _list([_rrule_day(day) for day in days.split(",")]))
    if of_month := parts.pop("BYMONTHDAY", ""):
        said.append("on " + ("the last day" if of_month == "-1" else _of_month(of_month)))
    if months := parts.pop("BYMONTH", ""):
        said.append("in " + _spans(months, MONTHS, 1))
    if hours:
        times = [f"{h:02d}:{m:02d}" for h in _numbers(hours, 23) for m in _numbers(minutes or "0", 59)]
        if len(times) > MOST_TIMES:
            raise _Unsayable
        said.append(f"at {_list(times)}")
    elif minutes:
        said.append(f"at minute {_list(minutes.split(','))}")
    whole = " ".join(said)
    if in_all := parts.pop("COUNT", ""):
        whole += f", {in_all} times in all"
    if until := parts.pop("UNTIL", ""):
        whole += f", until {until[:4]}-{until[4:6]}-{until[6:8]}"
    parts.pop("WKST", None)
    if parts:
        raise _Unsayable
    return whole


def _rrule_day(day: str) -> str:
    match = re.fullmatch(r"([+-]?\d)?([A-Z]{2})", day)
    if match is None or match[2] not in _RRULE_DAYS:
        raise _Unsayable
    name = _RRULE_DAYS[match[2]]
    if match[1] is None:
        return name
    which = int(match[1])
    return f"the last {name}" if which == -1 else f"the {ORDINALS[which]} {name}"
