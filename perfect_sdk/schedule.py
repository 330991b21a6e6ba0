"""When a flow runs by itself, as data."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from perfect_sdk.exceptions import NotSupported

_FIELDS = {5: "minute hour day month weekday", 6: "second minute hour day month weekday"}


class CronSchedule(msgspec.Struct, frozen=True):
    """cron: five fields, or six with seconds first. timezone: an IANA name; None means UTC."""

    cron: str
    timezone: str | None = None

    def __post_init__(self) -> None:
        if len(self.cron.split()) not in _FIELDS and not self.cron.startswith("@"):
            raise NotSupported(
                f"a cron expression has five fields ({_FIELDS[5]}) or six ({_FIELDS[6]}): {self.cron!r}"
            )
        if self.timezone is not None:
            from zoneinfo import ZoneInfo

            try:
                ZoneInfo(self.timezone)
            except Exception:
                raise NotSupported(
                    f"there is no time zone {self.timezone!r}; use a name like Europe/Rome"
                ) from None

    def __str__(self) -> str:
        return f"{self.cron} {self.timezone}" if self.timezone else self.cron


class IntervalSchedule(msgspec.Struct, frozen=True):
    """interval: seconds, or a timedelta. anchor_date: an instant that the series goes through; None: the epoch."""

    interval: float | timedelta
    anchor_date: datetime | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise NotSupported(f"an interval is longer than 0 s, not {self.interval!r}")

    @property
    def seconds(self) -> float:
        return self.interval.total_seconds() if isinstance(self.interval, timedelta) else float(self.interval)

    def __str__(self) -> str:
        return f"every {self.seconds:g} s"


Schedule = CronSchedule | IntervalSchedule
Cron = CronSchedule
Interval = IntervalSchedule


def schedule_text(schedule: Any) -> str | None:
    """As a registration carries it: the cron expression with its time zone, or `every 60 s`."""
    if schedule is None or isinstance(schedule, str):
        return schedule
    if isinstance(schedule, (CronSchedule, IntervalSchedule)):
        return str(schedule)
    raise NotSupported(f"schedule= is a CronSchedule or an IntervalSchedule, not {schedule!r}")
