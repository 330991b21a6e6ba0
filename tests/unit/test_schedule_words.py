"""A schedule's rule in words, and what is said of clocks that change."""

from datetime import UTC, datetime

import pytest

from perfect_runtime.occurrence import preview
from perfect_schemas.schedule import ScheduleSpec
from perfect_schemas.schedule_words import words

CRON = {
    "30 2 * * *": "at 02:30 every day",
    "*/15 * * * *": "every 15 minutes",
    "* * * * *": "every minute",
    "0 * * * *": "every hour, on the hour",
    "5,35 */2 * * *": "every 2 hours at minutes 5 and 35",
    "0 9 * * 1-5": "at 09:00 Monday to Friday",
    "0 9,18 * * MON,WED": "at 09:00 and 18:00 Monday and Wednesday",
    "0 0 1,15 * *": "at 00:00 on days 1 and 15 of every month",
    "0 0 L * *": "at 00:00 on the last day of every month",
    "0 9 1 JAN *": "at 09:00 on day 1 of January",
    "0 9 * 1-3 SUN": "at 09:00 every Sunday in January to March",
    "0 9 * * 5#2": "at 09:00 on the second Friday of every month",
    "0 9 * * 5L": "at 09:00 on the last Friday of every month",
    "*/10 9-17 * * *": "every 10 minutes from 09:00 to 17:59",
    "0 8-18 * * *": "every hour from 08:00 to 18:00",
    "*/5 * * * * *": "every 5 seconds",
    "30 0 9 * * *": "at 09:00:30 every day",
    "@weekly": "at 00:00 every Sunday",
    "0 0 1 * 1": "at 00:00 on day 1 of every month and every Monday",
}
RRULES = {
    "FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=9": "every week on Monday and Friday at 09:00",
    "RRULE:FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17;BYMINUTE=30": "every month on the last Friday at 17:30",
    "FREQ=DAILY;INTERVAL=2;COUNT=5": "every 2 days, 5 times in all",
    "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24;UNTIL=20301231": "every year on day 24 in December, until 2030-12-31",
}


@pytest.mark.parametrize("line", CRON)
def test_cron(line: str) -> None:
    assert words(ScheduleSpec(kind="cron", cron=line)) == f"{CRON[line]}, UTC"


@pytest.mark.parametrize("rule", RRULES)
def test_rrule(rule: str) -> None:
    assert (
        words(ScheduleSpec(kind="rrule", rrule=rule, timezone="Europe/Rome"))
        == f"{RRULES[rule]}, Europe/Rome"
    )


@pytest.mark.parametrize(
    "text", ["0-7/3 * * * *", "99 * * * *", "a b c d e", "junk", "", "0 0 0 0 0 0 0", "* * * * 9-8"]
)
def test_what_cannot_be_said_stays_as_it_is_written(text: str) -> None:
    assert words(ScheduleSpec(kind="cron", cron=text, timezone="Europe/Rome")).removesuffix(", Europe/Rome")
    assert words(ScheduleSpec(kind="rrule", rrule=text)) is not None


def test_intervals_and_once() -> None:
    assert words(ScheduleSpec(kind="interval", interval_ms=90_000)) == "every 90 seconds"
    daily = ScheduleSpec(kind="interval", interval_ms=86_400_000, timezone="Europe/Rome")
    assert words(daily) == "every day at 00:00, Europe/Rome"
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    once = ScheduleSpec(kind="once", at=at, timezone="Europe/Rome")
    assert words(once) == "once, at 2026-05-01 14:00, Europe/Rome"
    assert words(ScheduleSpec(kind="once", at=at, timezone="Nowhere/Land")).startswith("once at 2026-05-01")


def test_what_clocks_do_is_said() -> None:
    nightly = ScheduleSpec(kind="cron", cron="30 2 * * *", timezone="Europe/Rome")
    spring = preview(nightly, "", datetime(2026, 3, 28, tzinfo=UTC), 3)
    assert [one.note for one in spring] == [
        "", "the clocks are put forward from 02:00 to 03:00 at this moment", ""
    ]  # fmt: skip
    autumn = preview(nightly, "", datetime(2026, 10, 24, 12, tzinfo=UTC), 2)
    assert [one.note for one in autumn] == [
        "02:30 comes twice on this day: this is the first",
        "the clocks have been put back since the one before, on 2026-10-25 at 02:00",
    ]
    often = preview(
        ScheduleSpec(kind="cron", cron="*/30 * * * *", timezone="Europe/Rome"),
        "",
        datetime(2026, 10, 25, 0, 15, tzinfo=UTC),
        4,
    )
    assert [one.note.partition(" ")[0] + one.note[-6:] for one in often] == [
        "02:30 first", "themoment", "02:30second", ""
    ]  # fmt: skip
