"""When a flow runs by itself, as data: `@flow(schedule=…)`, `@flow(schedules=[…])`, `flow.serve(schedule=…)`.

Cron("0 9 * * 1-5", timezone="Europe/Rome")
Interval(timedelta(minutes=10), jitter=30, overlap="skip")
RRule("FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17")
Once(datetime(2026, 5, 1, 12, tzinfo=UTC))
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from perfect_schemas.envelope import Configuration
from perfect_schemas.schedule import Catchup, Overlap, ScheduleSpec, from_text, shape_errors
from perfect_sdk.exceptions import NotSupported

_FIELDS = {5: "minute hour day month weekday", 6: "second minute hour day month weekday"}
_DEFAULT = "default"
_MS = timedelta(milliseconds=1)


class _Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What every kind of rule takes.

    slug: its name, unique within the flow; a schedule that keeps its name keeps its history. active=False: paused from the
        beginning. parameters, configuration, tags: of its runs.
    catchup: what becomes of instants that pass while nobody is there: "last" (default), "all" or "none" of them run.
    max_lateness: seconds or a timedelta; what could be started only later than that is skipped.
    overlap: when the run before has not ended: "allow" (default), "skip", "queue" or "cancel_running".
    jitter: seconds or a timedelta by which a run may start later than its instant.
    """

    slug: str | None = None
    active: bool = True
    parameters: dict[str, Any] = {}
    configuration: Configuration = "development"
    tags: list[str] = []
    catchup: Catchup = "last"
    max_lateness: float | timedelta | None = None
    overlap: Overlap = "allow"
    jitter: float | timedelta = 0

    def __post_init__(self) -> None:
        for option, known in (
            ("catchup", ("none", "last", "all")),
            ("overlap", ("allow", "skip", "queue", "cancel_running")),
            ("configuration", ("development", "debug", "release")),
        ):
            if getattr(self, option) not in known:
                raise NotSupported(f"{option}= is one of {', '.join(known)}, not {getattr(self, option)!r}")
        if errors := shape_errors(spec_of(self)):
            raise NotSupported(f"{self}: " + "; ".join(f"{error.field} {error.message}" for error in errors))

    def timing(self) -> dict[str, Any]:
        """The fields of a ScheduleSpec that say when."""
        raise NotImplementedError


class CronSchedule(_Rule, frozen=True):
    """cron: five fields, or six with seconds first. timezone: an IANA name; None means UTC."""

    cron: str
    timezone: str | None = None
    day_or: bool = True

    def __post_init__(self) -> None:
        if len(self.cron.split()) not in _FIELDS and not self.cron.startswith("@"):
            raise NotSupported(
                f"a cron expression has five fields ({_FIELDS[5]}) or six ({_FIELDS[6]}): {self.cron!r}"
            )
        if not self.day_or:
            raise NotSupported(
                "day_or=False is not supported: a day and a weekday that are both given mean days that are either; for "
                "days that are both use RRule, as in FREQ=MONTHLY;BYMONTHDAY=13;BYDAY=FR"
            )
        _check_zone(self.timezone)
        _check_cron(self.cron)
        super().__post_init__()

    def __str__(self) -> str:
        return f"{self.cron} {self.timezone}" if self.timezone else self.cron

    def timing(self) -> dict[str, Any]:
        return {"kind": "cron", "cron": self.cron, "timezone": self.timezone}


class IntervalSchedule(_Rule, frozen=True):
    """interval: seconds, or a timedelta; of whole days it keeps the local time of its zone. anchor_date: an instant that
    the series goes through, in `timezone` unless it has a zone; None: 1970-01-01 00:00.
    """

    interval: float | timedelta
    anchor_date: datetime | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise NotSupported(f"an interval is longer than 0 s, not {self.interval!r}")
        _check_zone(self.timezone)
        super().__post_init__()

    @property
    def seconds(self) -> float:
        return self.interval.total_seconds() if isinstance(self.interval, timedelta) else float(self.interval)

    def __str__(self) -> str:
        return f"every {self.seconds:g} s"

    def timing(self) -> dict[str, Any]:
        anchor = self.anchor_date
        if anchor is not None and anchor.tzinfo is None:
            anchor = anchor.replace(tzinfo=_zone(self.timezone))
        return {
            "kind": "interval",
            "interval_ms": round(self.seconds * 1000),
            "anchor": anchor,
            "timezone": self.timezone,
        }


class RRuleSchedule(_Rule, frozen=True):
    """rrule: a recurrence rule by RFC 5545, as text or as an object of dateutil's. timezone: an IANA name; None means UTC."""

    rrule: Any
    timezone: str | None = None

    def __post_init__(self) -> None:
        _check_zone(self.timezone)
        super().__post_init__()

    @classmethod
    def from_rrule(cls, rrule: Any) -> "RRuleSchedule":
        return cls(str(rrule))

    def __str__(self) -> str:
        return f"{self.rrule} {self.timezone}" if self.timezone else str(self.rrule)

    def timing(self) -> dict[str, Any]:
        return {"kind": "rrule", "rrule": str(self.rrule), "timezone": self.timezone}


class OnceSchedule(_Rule, frozen=True):
    """at: with its time zone."""

    at: datetime

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise NotSupported(f"Once({self.at!r}) needs a time zone: datetime(…, tzinfo=UTC)")
        super().__post_init__()

    def __str__(self) -> str:
        return f"once at {self.at.isoformat()}"

    def timing(self) -> dict[str, Any]:
        return {"kind": "once", "at": self.at}


Schedule = CronSchedule | IntervalSchedule | RRuleSchedule | OnceSchedule
Cron = CronSchedule
Interval = IntervalSchedule
RRule = RRuleSchedule
Once = OnceSchedule


def schedule_text(schedule: Any) -> str | None:
    """As people read it: the cron expression with its time zone, or `every 60 s`."""
    return None if schedule is None else str(_rule(schedule))


def spec_of(schedule: Any, *, name: str = _DEFAULT) -> ScheduleSpec:
    """As the registry keeps it; under `name` if it has none of its own."""
    if isinstance(schedule, ScheduleSpec):
        return schedule
    rule = _rule(schedule)
    return ScheduleSpec(
        name=rule.slug or name,
        active=rule.active,
        parameters=rule.parameters,
        configuration=rule.configuration,
        tags=rule.tags,
        catchup=rule.catchup,
        max_lateness_ms=None if rule.max_lateness is None else _ms(rule.max_lateness),
        overlap=rule.overlap,
        jitter_ms=_ms(rule.jitter),
        **rule.timing(),
    )


def specs_of(schedule: Any, schedules: Iterable[Any] = ()) -> list[ScheduleSpec]:
    """What `@flow(schedule=…, schedules=[…])` says. One without a name is `default`, several are `schedule-1`, `schedule-2` …
    Raises NotSupported.
    """
    given = [*([schedule] if schedule is not None else ()), *schedules]
    names = [_DEFAULT] if len(given) == 1 else [f"schedule-{n}" for n in range(1, len(given) + 1)]
    specs = [spec_of(one, name=name) for one, name in zip(given, names, strict=True)]
    found = [spec.name for spec in specs]
    if twice := {name for name in found if found.count(name) > 1}:
        raise NotSupported(
            f"schedules of one flow have different names (slug=…), not twice {', '.join(twice)}"
        )
    return specs


def _rule(schedule: Any) -> "Schedule":
    if isinstance(schedule, (CronSchedule, IntervalSchedule, RRuleSchedule, OnceSchedule)):
        return schedule
    if isinstance(schedule, timedelta):
        return IntervalSchedule(schedule)
    if isinstance(schedule, str) and (spec := from_text(schedule)) is not None and spec.cron is not None:
        return CronSchedule(spec.cron, timezone=spec.timezone)
    raise NotSupported(
        "schedule= is a Cron, Interval, RRule or Once (CronSchedule, IntervalSchedule …), or a cron expression, "
        f"not {schedule!r}"
    )


def _ms(span: float | timedelta) -> int:
    return span // _MS if isinstance(span, timedelta) else round(span * 1000)


def _zone(name: str | None) -> Any:
    if name is None:
        return UTC
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _check_zone(name: str | None) -> None:
    try:
        _zone(name)
    except Exception:
        raise NotSupported(f"there is no time zone {name!r}; use a name like Europe/Rome") from None


def _check_cron(text: str) -> None:
    """Where the library is that computes it; the registry checks it in any case."""
    if text.startswith("@"):
        return
    try:
        from cronsim import CronSim, CronSimError
    except ImportError:
        return
    try:
        CronSim(text, datetime(2024, 1, 1))  # noqa: DTZ001
    except CronSimError as error:
        raise NotSupported(f"{text!r} is no cron expression: {error}") from None
