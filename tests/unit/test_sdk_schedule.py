"""Schedules as users write them, and as they are registered."""

from datetime import UTC, datetime, timedelta

import pytest

from perfect_schemas.schedule import describe, from_text
from perfect_sdk import Cron, CronSchedule, Interval, Once, RRule, RRuleSchedule, flow
from perfect_sdk.exceptions import NotSupported
from perfect_sdk.schedule import spec_of
from perfect_sdk.serving.definition import define


def test_every_kind_with_its_options():
    options = {
        "slug": "nightly", "active": False, "parameters": {"day": "x"}, "configuration": "release", "tags": ["a"],
        "catchup": "all", "max_lateness": timedelta(minutes=5), "overlap": "queue", "jitter": 2.5,
    }  # fmt: skip
    spec = spec_of(Cron("0 9 * * 1-5", timezone="Europe/Rome", **options))
    assert (spec.kind, spec.cron, spec.timezone, spec.name) == (
        "cron",
        "0 9 * * 1-5",
        "Europe/Rome",
        "nightly",
    )
    assert (spec.active, spec.parameters, spec.configuration, spec.tags) == (
        False,
        {"day": "x"},
        "release",
        ["a"],
    )
    assert (spec.catchup, spec.max_lateness_ms, spec.overlap, spec.jitter_ms) == (
        "all",
        300_000,
        "queue",
        2500,
    )
    spec = spec_of(Interval(timedelta(days=1), anchor_date=datetime(2026, 1, 1, 9), timezone="Europe/Rome"))
    assert (spec.interval_ms, spec.anchor) == (86_400_000, datetime(2026, 1, 1, 8, tzinfo=UTC))
    assert spec_of(Interval(90)).interval_ms == 90_000
    assert spec_of(RRule("FREQ=DAILY", timezone="Asia/Tokyo")).rrule == "FREQ=DAILY"
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert spec_of(Once(at)).at == at


def test_an_object_of_dateutils():
    from dateutil.rrule import DAILY, rrule

    spec = spec_of(RRuleSchedule.from_rrule(rrule(DAILY, dtstart=datetime(2026, 1, 1), count=3)))
    assert spec.rrule == "DTSTART:20260101T000000\nRRULE:FREQ=DAILY;COUNT=3"


def test_one_is_called_default_and_several_are_numbered():
    @flow(schedule="0 0 * * * Europe/Rome")
    def one() -> None: ...

    @flow(schedule=Interval(60), schedules=[Cron("@daily", slug="nightly"), "*/5 * * * *"])
    def three() -> None: ...

    @flow
    def none() -> None: ...

    [spec] = define(one).schedules
    assert (spec.name, spec.cron, spec.timezone) == ("default", "0 0 * * *", "Europe/Rome")
    assert define(one).schedule == "0 0 * * * Europe/Rome"
    assert [spec.name for spec in define(three).schedules] == ["schedule-1", "nightly", "schedule-3"]
    assert define(three.with_options(name="other")).schedules == define(three).schedules
    assert define(none).schedules == []


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Cron("* *"), "five fields"),
        (lambda: Cron("99 * * * *"), "Bad minute"),
        (lambda: Cron("* * * * *", timezone="Mars"), "no time zone 'Mars'"),
        (lambda: Cron("0 0 13 * 5", day_or=False), "RRule"),
        (lambda: Cron("* * * * *", catchup="some"), "none, last, all"),
        (lambda: Cron("* * * * *", overlap="cancel"), "cancel_running"),
        (lambda: Cron("* * * * *", slug="Two Words"), "name must be"),
        (lambda: Interval(0), "longer than 0"),
        (lambda: Interval(0.5), "interval_ms must be 1000 or more"),
        (lambda: Once(datetime(2026, 1, 1)), "time zone"),
        (lambda: flow(schedule="every day")(lambda: None), "cron expression"),
        (
            lambda: flow(schedules=[Interval(60, slug="a"), Interval(61, slug="a")])(lambda: None),
            "different names",
        ),
    ],
)
def test_what_means_nothing_is_refused_where_it_is_written(make, says):
    with pytest.raises(NotSupported, match=says):
        make()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("0 9 * * *", "0 9 * * *"),
        ("0 9 * * * UTC", "0 9 * * * UTC"),
        ("*/5 0 9 * * MON America/Argentina/Buenos_Aires", "*/5 0 9 * * MON America/Argentina/Buenos_Aires"),
        ("@hourly Europe/Rome", "@hourly Europe/Rome"),
        ("every 60 s", None),
        ("", None),
        (None, None),
    ],
)
def test_a_cron_line_as_text(text, line):
    spec = from_text(text)
    assert (describe(spec) if spec else None) == line


def test_descriptions():
    assert describe(spec_of(Interval(5400))) == "every 90 minutes"
    assert describe(spec_of(Interval(timedelta(days=1), timezone="Europe/Rome"))) == "every day Europe/Rome"
    assert describe(spec_of(Interval(1.5))) == "every 1,500 milliseconds"
    assert describe(spec_of(RRule("RRULE:FREQ=DAILY"))) == "FREQ=DAILY"
    assert describe(spec_of(Once(datetime(2026, 5, 1, 12, tzinfo=UTC)))) == "once at 2026-05-01 12:00:00 UTC"
    assert str(CronSchedule("0 9 * * *", timezone="Europe/Rome")) == "0 9 * * * Europe/Rome"
