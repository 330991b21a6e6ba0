"""Which instants a rule means: a golden table of changes of the clocks, and what must hold of every rule."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import msgspec
import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from perfect_runtime import occurrence
from perfect_runtime.occurrence import zone
from perfect_schemas.errors import InvalidInput
from perfect_schemas.schedule import ScheduleSpec

DAY_MS = 86_400_000


def cron(text, timezone=None, **fields):
    return ScheduleSpec(kind="cron", cron=text, timezone=timezone, **fields)


def rrule(text, timezone=None, **fields):
    return ScheduleSpec(kind="rrule", rrule=text, timezone=timezone, **fields)


def every(ms, timezone=None, anchor=None):
    return ScheduleSpec(kind="interval", interval_ms=ms, timezone=timezone, anchor=anchor)


def at(text):
    return datetime.fromisoformat(text)


def local(spec, after, count):
    occurrence.check(spec)
    return [one.local for one in occurrence.preview(spec, "", at(after), count)]


# Each row: rule, after, what follows in its own zone. The clocks change at: Rome 2026-03-29 02:00→03:00 and 2026-10-25
# 03:00→02:00; New York 2026-03-08 02:00→03:00 and 2026-11-01 02:00→01:00; Lord Howe 2026-04-05 02:00→01:30 and 2026-10-04
# 02:00→02:30; Apia had no 2011-12-30; Kathmandu never changes; Casablanca goes back for Ramadan (2026-02-15 03:00→02:00).
GOLDEN = [
    # gap: what the clocks skip runs the moment they have been put forward, once
    (cron("30 2 * * *", "Europe/Rome"), "2026-03-28T12:00:00+01:00",
     ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
    (cron("0,30 2 * * *", "Europe/Rome"), "2026-03-28T12:00:00+01:00",
     ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]),
    (cron("30 2,3 * * *", "Europe/Rome"), "2026-03-28T12:00:00+01:00",
     ["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"]),
    (cron("0 30 2 * * *", "America/New_York"), "2026-03-07T12:00:00-05:00",
     ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"]),
    (cron("15 2 * * *", "Australia/Lord_Howe"), "2026-10-03T12:00:00+10:30",
     ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"]),
    (cron("0 9 * * *", "Pacific/Apia"), "2011-12-29T08:00:00-10:00",
     ["2011-12-29T09:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"]),
    # overlap: what comes twice runs the first time
    (cron("30 2 * * *", "Europe/Rome"), "2026-10-24T12:00:00+02:00",
     ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
    (cron("30 1 * * *", "America/New_York"), "2026-10-31T12:00:00-04:00",
     ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"]),
    (cron("45 1 * * *", "Australia/Lord_Howe"), "2026-04-04T12:00:00+11:00",
     ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"]),
    (cron("30 2 * * *", "Africa/Casablanca"), "2026-02-14T12:00:00+01:00",
     ["2026-02-15T02:30:00+01:00", "2026-02-16T02:30:00+00:00"]),
    # asked in the middle of the second time: it has run already
    (cron("30 2 * * *", "Europe/Rome"), "2026-10-25T02:10:00+01:00", ["2026-10-26T02:30:00+01:00"]),
    # at any hour: none of the skipped, all of the repeated
    (cron("*/30 * * * *", "Europe/Rome"), "2026-03-29T01:10:00+01:00",
     ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"]),
    (cron("*/30 * * * *", "Europe/Rome"), "2026-10-25T02:10:00+02:00",
     ["2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00",
      "2026-10-25T03:00:00+01:00"]),
    (cron("0 * * * *", "America/New_York"), "2026-11-01T00:30:00-04:00",
     ["2026-11-01T01:00:00-04:00", "2026-11-01T01:00:00-05:00", "2026-11-01T02:00:00-05:00"]),
    (cron("*/15 */2 * * *", "Australia/Lord_Howe"), "2026-04-05T00:40:00+11:00",
     ["2026-04-05T00:45:00+11:00", "2026-04-05T02:00:00+10:30", "2026-04-05T02:15:00+10:30"]),
    (cron("*/15 * * * *", "Australia/Lord_Howe"), "2026-04-05T01:40:00+11:00",
     ["2026-04-05T01:45:00+11:00", "2026-04-05T01:30:00+10:30", "2026-04-05T01:45:00+10:30",
      "2026-04-05T02:00:00+10:30"]),
    (cron("*/30 2 25 10 *", "Europe/Rome"), "2026-10-25T02:30:00+02:00",
     ["2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00", "2027-10-25T02:00:00+02:00"]),
    (cron("0 */6 * * *", "Pacific/Apia"), "2011-12-29T17:00:00-10:00",
     ["2011-12-29T18:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T06:00:00+14:00"]),
    # seconds, odd zones, calendars
    (cron("*/20 59 1 * * *", "Europe/Rome"), "2026-03-29T01:59:10+01:00",
     ["2026-03-29T01:59:20+01:00", "2026-03-29T01:59:40+01:00", "2026-03-30T01:59:00+02:00"]),
    (cron("0 9 * * 1-5", "Asia/Kathmandu"), "2026-01-02T10:00:00+05:45",
     ["2026-01-05T09:00:00+05:45", "2026-01-06T09:00:00+05:45"]),
    (cron("0 0 29 2 *"), "2026-01-01T00:00:00+00:00", ["2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00"]),
    (cron("0 12 L * *"), "2026-01-01T00:00:00+00:00", ["2026-01-31T12:00:00+00:00", "2026-02-28T12:00:00+00:00"]),
    (cron("0 12 * * MON#2"), "2026-01-01T00:00:00+00:00", ["2026-01-12T12:00:00+00:00"]),
    (cron("0 0 13 * FRI"), "2026-01-01T00:00:00+00:00", ["2026-01-02T00:00:00+00:00", "2026-01-09T00:00:00+00:00"]),
    (cron("@daily", "Europe/Rome"), "2026-03-28T12:00:00+01:00",
     ["2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"]),
    # intervals: of days keep the local time, others are elapsed time
    (every(DAY_MS, "Europe/Rome", at("2026-01-01T09:00:00+01:00")), "2026-03-28T00:00:00+01:00",
     ["2026-03-28T09:00:00+01:00", "2026-03-29T09:00:00+02:00"]),
    (every(DAY_MS, "Europe/Rome", at("2026-01-01T02:30:00+01:00")), "2026-03-28T12:00:00+01:00",
     ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
    (every(7 * DAY_MS, "America/New_York", at("2026-10-26T08:00:00-04:00")), "2026-10-27T00:00:00-04:00",
     ["2026-11-02T08:00:00-05:00", "2026-11-09T08:00:00-05:00"]),
    (every(12 * 3_600_000, "Europe/Rome", at("2026-03-28T09:00:00+01:00")), "2026-03-28T12:00:00+01:00",
     ["2026-03-28T21:00:00+01:00", "2026-03-29T10:00:00+02:00"]),
    (every(DAY_MS, "Pacific/Apia", at("2011-12-27T09:00:00-10:00")), "2011-12-29T10:00:00-10:00",
     ["2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"]),
    (every(90_000, None, at("2026-01-01T00:00:10+00:00")), "2025-12-31T23:57:00+00:00",
     ["2025-12-31T23:57:10+00:00", "2025-12-31T23:58:40+00:00"]),
    # recurrence rules: the same for named times, and by the clock for hours
    (rrule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "Europe/Rome"), "2026-03-28T12:00:00+01:00",
     ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
    (rrule("FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "Europe/Rome"), "2026-10-24T12:00:00+02:00",
     ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
    (rrule("FREQ=HOURLY", "Europe/Rome"), "2026-10-25T01:30:00+02:00",
     ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"]),
    (rrule("RRULE:FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=17", "America/New_York"), "2026-03-01T00:00:00-05:00",
     ["2026-03-27T17:00:00-04:00", "2026-04-24T17:00:00-04:00"]),
    (rrule("DTSTART:20260101T090000Z\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260102T090000Z\nRDATE:20260110T120000Z"),
     "2025-01-01T00:00:00+00:00",
     ["2026-01-01T09:00:00+00:00", "2026-01-03T09:00:00+00:00", "2026-01-10T12:00:00+00:00"]),
    (rrule("DTSTART;TZID=America/New_York:20260301T090000\nRRULE:FREQ=WEEKLY;UNTIL=20260315T130000Z", None),
     "2026-01-01T00:00:00+00:00",
     ["2026-03-01T14:00:00+00:00", "2026-03-08T13:00:00+00:00", "2026-03-15T13:00:00+00:00"]),
    (rrule("FREQ=SECONDLY;INTERVAL=7"), "2026-03-27T00:00:00+00:00",
     ["2026-03-27T00:00:02+00:00", "2026-03-27T00:00:09+00:00"]),
    (ScheduleSpec(kind="once", at=at("2026-05-01T12:00:00+02:00")), "2026-01-01T00:00:00+00:00",
     ["2026-05-01T10:00:00+00:00"]),
    (ScheduleSpec(kind="once", at=at("2026-05-01T12:00:00+02:00")), "2026-05-01T10:00:00+00:00", []),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "after", "expected"), GOLDEN)
def test_golden(spec, after, expected):
    count = len(expected) + (
        spec.kind == "once" or "COUNT" in (spec.rrule or "") or "UNTIL" in (spec.rrule or "")
    )
    assert local(spec, after, count) == expected


ZONES = st.sampled_from(
    ["Europe/Rome", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca",
     "America/St_Johns", "Europe/Dublin", "Pacific/Chatham", None]
)  # fmt: skip
MOMENTS = st.datetimes(datetime(2008, 1, 1), datetime(2035, 1, 1)).map(lambda one: one.replace(tzinfo=UTC))


def numbers(low, high):
    one = st.integers(low, high).map(str)
    several = st.lists(one, min_size=1, max_size=3, unique=True).map(",".join)
    return st.one_of(st.just("*"), several, st.integers(1, 20).map(lambda n: f"*/{n}"))


CRONS = st.builds(
    lambda parts, zone_, seconds: cron(" ".join([*seconds, *parts]), zone_),
    st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 28), numbers(1, 12), numbers(0, 6)),
    ZONES,
    st.one_of(st.just([]), st.tuples(numbers(0, 59))),
)
INTERVALS = st.builds(
    every,
    st.one_of(st.integers(1000, 10**9), st.integers(1, 40).map(lambda days: days * DAY_MS)),
    ZONES,
    st.one_of(st.none(), MOMENTS),
)
RRULES = st.builds(
    lambda freq, interval, hours, zone_: rrule(
        f"FREQ={freq};INTERVAL={interval}" + (f";BYHOUR={hours}" if hours is not None else ""), zone_
    ),
    st.sampled_from(["MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY"]),
    st.sampled_from([1, 2, 3, 5]),
    st.one_of(st.none(), st.just("0,1,2,3,4,5")),
    ZONES,
)
RULES = st.one_of(CRONS, INTERVALS, RRULES)


@given(RULES, MOMENTS)
@settings(max_examples=60, deadline=None)
def test_ascending_none_twice_and_the_same_from_anywhere(spec, after):
    found = list(islice(occurrence.after(spec, after), 12))
    assert all(one > after and one.tzinfo is UTC for one in found)
    assert all(a < b for a, b in pairwise(found))
    for n in (0, len(found) // 2):
        if n < len(found):
            again = list(islice(occurrence.after(spec, found[n]), len(found) - n - 1))
            assert again == found[n + 1 :]
            before = found[n] - timedelta(microseconds=1)
            assert next(occurrence.after(spec, before)) == found[n]


@given(CRONS.filter(lambda spec: spec.timezone is not None), MOMENTS)
@settings(max_examples=40, deadline=None)
def test_a_cron_holds_at_its_local_time_or_where_the_clocks_were_put_forward(spec, after):
    tz = ZoneInfo(spec.timezone)
    plain = msgspec.structs.replace(spec, timezone=None)
    for one in islice(occurrence.after(spec, after), 8):
        here = one.astimezone(tz).replace(tzinfo=UTC)
        says_so = next(occurrence.after(plain, here - timedelta(seconds=1)), None) == here
        put_forward = one.astimezone(tz).utcoffset() > (one - timedelta(seconds=1)).astimezone(tz).utcoffset()
        assert says_so or put_forward


@given(st.sampled_from(["DAILY", "WEEKLY", "HOURLY", "MONTHLY"]), st.integers(1, 5), MOMENTS)
@settings(max_examples=30, deadline=None)
def test_moving_a_rules_beginning_on_changes_nothing(freq, interval, after):
    text = f"FREQ={freq};INTERVAL={interval}"
    after = after.replace(microsecond=0, year=2021)
    plain = rrulestr(text, dtstart=datetime(2020, 1, 1)).xafter(after.replace(tzinfo=None), count=5)
    assert list(islice(occurrence.after(rrule(text), after), 5)) == [one.replace(tzinfo=UTC) for one in plain]


@given(RULES, MOMENTS, st.integers(1, 10**8))
@settings(max_examples=40, deadline=None)
def test_jitter_is_always_the_same_and_never_reaches_the_next_instant(spec, after, jitter_ms):
    spec = msgspec.structs.replace(spec, jitter_ms=jitter_ms)
    pairs = list(islice(occurrence.with_due(spec, "s", after), 6))
    assert pairs == list(islice(occurrence.with_due(spec, "s", after), 6))
    assert [at for at, _ in pairs] == list(islice(occurrence.after(spec, after), len(pairs)))
    for (instant, due), (following, _) in pairwise(pairs):
        assert instant <= due < following
        assert due - instant < timedelta(milliseconds=jitter_ms)
    if pairs:
        [alone] = islice(occurrence.with_due(spec, "s", pairs[0][0] - timedelta(microseconds=1)), 1)
        assert alone == pairs[0]


def test_jitter_differs_between_schedules_and_instants():
    spec = every(60_000)
    spec = msgspec.structs.replace(spec, jitter_ms=50_000)
    after = at("2026-01-01T00:00:00+00:00")
    late = {s: [due - at for at, due in islice(occurrence.with_due(spec, s, after), 20)] for s in "ab"}
    assert len(set(late["a"])) > 15
    assert late["a"] != late["b"]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (cron("61 * * * *"), "cron"),
        (cron("0 0 31 2 *"), "cron"),
        (cron("* * * *"), "cron"),
        (cron("@often"), "cron"),
        (cron("* * * * *", "Europe"), "timezone"),
        (cron("* * * * *", "Mars/Olympus"), "timezone"),
        (cron("* * * * *", name="Two Words"), "name"),
        (cron("* * * * *", tags=[""]), "tags.0"),
        (cron("* * * * *", jitter_ms=-1), "jitter_ms"),
        (cron("* * * * *", max_lateness_ms=0), "max_lateness_ms"),
        (ScheduleSpec(kind="cron"), "cron"),
        (ScheduleSpec(kind="once"), "at"),
        (ScheduleSpec(kind="interval", interval_ms=1000, cron="* * * * *"), "cron"),
        (every(10), "interval_ms"),
        (rrule("FREQ=NEVER"), "rrule"),
        (rrule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), "rrule"),
        (rrule("FREQ=DAILY;COUNT=999999"), "rrule"),
        (rrule("EXRULE:FREQ=DAILY"), "rrule"),
        (rrule("DTSTART;TZID=Asia/Tokyo:20260101T000000\nRRULE:FREQ=DAILY", "Europe/Rome"), "rrule"),
        (rrule("DTSTART:yesterday\nRRULE:FREQ=DAILY"), "rrule"),
    ],
)
def test_what_means_nothing_is_refused_by_its_field(spec, field):
    with pytest.raises(InvalidInput) as caught:
        occurrence.check(spec)
    assert [error.field for error in caught.value.errors] == [field]


@given(st.sampled_from(["Europe/Rome", "Australia/Lord_Howe", "Pacific/Apia"]), MOMENTS)
@settings(max_examples=40, deadline=None)
def test_a_local_time_is_found_again(name, moment):
    tz = zone.zone(name)
    moment = moment.replace(microsecond=0)
    here = zone.local(moment, tz)
    found = zone.instant_of(here, tz)
    assert zone.local(found, tz) == here
    assert found <= moment
