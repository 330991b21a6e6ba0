"""When a flow runs by itself, as data: on the wire, in events and in answers.

What the rules come to (which instants, through which changes of the clocks) is computed by the services; here stand
their shape and their limits.
"""

import re
from typing import Any, Literal

import msgspec

from perfect_schemas.envelope import Configuration, Instant
from perfect_schemas.errors import FieldError

NAME_LENGTH = 100
TEXT_LENGTH = 6500
MIN_INTERVAL_MS = 1000
DAY_MS = 86_400_000
Catchup = Literal["none", "last", "all"]
Overlap = Literal["allow", "skip", "queue", "cancel_running"]
ScheduleSource = Literal["code", "api"]

_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII).fullmatch
_ZONE = re.compile(r"UTC|[A-Za-z_]+/[A-Za-z0-9_+/-]+", re.ASCII).fullmatch
_UNITS = ((DAY_MS, "day"), (3_600_000, "hour"), (60_000, "minute"), (1000, "second"))


class ScheduleSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule by which a flow runs by itself. Of the fields that say when, just those of its kind are set.

    name: a slug, unique within the flow; with it, it is the schedule's identity.
    cron: five fields (minute hour day month weekday), six with seconds first, or @hourly, @daily, @weekly, @monthly, @yearly.
    timezone: an IANA name by whose clocks cron, rrule and whole-day intervals go; None: UTC.
    interval_ms: from 1,000 on. One of whole days keeps the local time through changes of the clocks; any other is elapsed time.
    anchor: an instant that the intervals go through (None: 1970-01-01 00:00 in its zone); of a rrule its DTSTART unless
        the text has one (None: 2020-01-01 00:00 in its zone).
    rrule: text by RFC 5545: RRULE, and if wanted DTSTART, RDATE, EXDATE, a line each.
    at: of kind once.
    jitter_ms: a run starts up to that much later than its instant; how much follows from schedule and instant, and it
        never reaches the next instant.
    catchup: what is done about instants that passed while no engine was there: nothing, the last of them, or all.
    max_lateness_ms: an instant that could be acted on only so much later, or still later, is skipped. None: however late.
    overlap: if a run of this schedule has not ended when the next is due: start another, skip the instant, start it
        when the one before it has ended, or cancel the one before it and start.
    parameters, tags: of the runs, in addition to those of the deployment.
    deployment: name of the flow's deployment that it belongs to, and whose runs it starts.
    active: False: paused from the beginning.
    """

    name: str = "default"
    kind: Literal["cron", "interval", "rrule", "once"]
    cron: str | None = None
    timezone: str | None = None
    interval_ms: int | None = None
    anchor: Instant | None = None
    rrule: str | None = None
    at: Instant | None = None
    jitter_ms: int = 0
    catchup: Catchup = "last"
    max_lateness_ms: int | None = None
    overlap: Overlap = "allow"
    parameters: dict[str, Any] = {}
    configuration: Configuration = "development"
    tags: list[str] = []
    deployment: str | None = None
    active: bool = True


def timing(spec: ScheduleSpec) -> tuple[Any, ...]:
    """What its instants follow from: two rules with the same timing have the same instants."""
    return (spec.kind, spec.cron, spec.timezone, spec.interval_ms, spec.anchor, spec.rrule, spec.at)


def describe(spec: ScheduleSpec) -> str:
    """In one line: `0 9 * * 1-5 Europe/Rome`, `every 90 seconds`, `FREQ=WEEKLY;BYDAY=MO`, `once at 2026-05-01 12:00 UTC`."""
    zone = f" {spec.timezone}" if spec.timezone else ""
    match spec.kind:
        case "cron":
            return f"{spec.cron}{zone}"
        case "interval":
            return f"every {_duration(spec.interval_ms or 0)}{zone}"
        case "rrule":
            return " ".join((spec.rrule or "").removeprefix("RRULE:").split()) + zone
        case "once":
            return f"once at {spec.at:%Y-%m-%d %H:%M:%S %Z}"


def from_text(text: str | None) -> ScheduleSpec | None:
    """A cron line as a registration's `schedule` may be, with a time zone after it if wanted; None for anything else."""
    words = (text or "").split()
    timezone = words.pop() if words and _ZONE(words[-1]) and len(words) > 1 else None
    if len(words) in (5, 6) or (len(words) == 1 and words[0].startswith("@")):
        return ScheduleSpec(kind="cron", cron=" ".join(words), timezone=timezone)
    return None


def _duration(ms: int) -> str:
    size, name = next(((size, name) for size, name in _UNITS if ms % size == 0), (1, "millisecond"))
    count = ms // size
    return name if count == 1 else f"{count:,} {name}s"


def shape_errors(spec: ScheduleSpec) -> list[FieldError]:
    """Everything that is wrong with it except what only a calendar knows: whether cron, rrule and zone mean anything."""
    errors: list[FieldError] = []
    if len(spec.name) > NAME_LENGTH or not _SLUG(spec.name):
        errors.append(
            FieldError(
                "name",
                f"must be 1 to {NAME_LENGTH} lower-case letters, digits, '-', '_' or '.', beginning with a letter or digit",
            )
        )
    given = {
        "cron": spec.cron, "interval": spec.interval_ms, "rrule": spec.rrule, "once": spec.at
    }  # fmt: skip
    fields = {"cron": "cron", "interval": "interval_ms", "rrule": "rrule", "once": "at"}
    for kind, value in given.items():
        if kind == spec.kind and value is None:
            errors.append(FieldError(fields[kind], f"must be given for a schedule of kind {kind!r}"))
        elif kind != spec.kind and value is not None:
            errors.append(FieldError(fields[kind], f"means nothing to a schedule of kind {spec.kind!r}"))
    if spec.interval_ms is not None and spec.interval_ms < MIN_INTERVAL_MS:
        errors.append(FieldError("interval_ms", f"must be {MIN_INTERVAL_MS} or more"))
    if spec.anchor is not None and spec.kind not in ("interval", "rrule"):
        errors.append(FieldError("anchor", f"means nothing to a schedule of kind {spec.kind!r}"))
    for field, text in (("cron", spec.cron), ("rrule", spec.rrule)):
        if text is not None and len(text) > TEXT_LENGTH:
            errors.append(FieldError(field, f"is longer than {TEXT_LENGTH:,} characters"))
    if spec.jitter_ms < 0:
        errors.append(FieldError("jitter_ms", "must be 0 or more"))
    if spec.max_lateness_ms is not None and spec.max_lateness_ms <= 0:
        errors.append(FieldError("max_lateness_ms", "must be more than 0"))
    for n, tag in enumerate(spec.tags):
        if not tag.strip() or len(tag) > NAME_LENGTH:
            errors.append(FieldError(f"tags.{n}", f"must have 1 to {NAME_LENGTH} characters"))
    return errors
