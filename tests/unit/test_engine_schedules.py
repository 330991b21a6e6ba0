"""What the engine decides about a schedule's instants: given a schedule and the time, then these events."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfect_engine import schedules
from perfect_engine.run import Stamp
from perfect_engine.schedules import Situation
from perfect_runtime import occurrence
from perfect_schemas import ids
from perfect_schemas.errors import InvalidInput
from perfect_schemas.events.schedule import (
    ScheduleCreated,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleUpdated,
)
from perfect_schemas.folds.schedule import evolve
from perfect_schemas.schedule import ScheduleSpec

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FLOW = ids.flow_id("etl")
ID = ids.schedule_id(FLOW, "default")
EVERY_MINUTE = ScheduleSpec(kind="cron", cron="* * * * *")


def say(schedule, kind, at=START, **fields):
    event = kind(id="e", at=at, source="registry", schedule_id=ID, **fields)
    return evolve(schedule, event, (schedule.last_seq if schedule else 0) + 1)


def made(spec=EVERY_MINUTE, **fields):
    spec = msgspec.structs.replace(spec, **fields)
    return say(None, ScheduleCreated, flow_id=FLOW, flow_name="etl", spec=spec)


def situation(now, *, since=START, live=(), refusal=""):
    return Situation(stamp=Stamp(now=now, event_id="e"), since=since, live=live, refusal=refusal)


def run_until_idle(schedule, where):
    """Every decision that can be made now, and the schedule after them."""
    said = []
    while events := schedules.decide(schedule, where):
        [event] = events
        said.append(event)
        schedule = evolve(schedule, event, schedule.last_seq + 1)
        assert len(said) < 10_000
    return schedule, said


def told(said):
    """(what, minutes from the start, how many)"""
    return [
        (
            event.type.removeprefix("schedule."),
            (event.at_instant - START) / MINUTE,
            getattr(event, "count", 1),
        )
        for event in said
    ]


def test_nothing_before_it_is_due_and_once_then():
    schedule = made()
    assert schedules.wakes_at(schedule) == START + MINUTE
    assert schedules.decide(schedule, situation(START + MINUTE - timedelta(microseconds=1))) == ()
    schedule, [fired] = run_until_idle(schedule, situation(START + MINUTE + timedelta(milliseconds=7)))
    assert (fired.at_instant, fired.late_ms) == (START + MINUTE, 7)
    assert fired.run_id == ids.scheduled_run_id(ID, START + MINUTE)
    assert schedules.wakes_at(schedule) == START + 2 * MINUTE
    assert (schedule.fired, schedule.last_run_id, schedule.last_late_ms) == (1, fired.run_id, 7)


BACK = START + 10.5 * MINUTE
CATCHUP = {
    "all": [("fired", n, 1) for n in range(1, 11)],
    "last": [("skipped", 1, 9), ("fired", 10, 1)],
    "none": [("skipped", 1, 10)],
}


@pytest.mark.parametrize("catchup", list(CATCHUP))
def test_instants_that_passed_while_nobody_was_there(catchup):
    _, said = run_until_idle(made(catchup=catchup), situation(BACK, since=BACK))
    assert told(said) == CATCHUP[catchup]
    for event in said:
        if event.type == "schedule.skipped":
            assert event.reason == "catchup"


def test_what_comes_up_in_time_is_not_caught_up_on_but_done():
    schedule = made(catchup="none")
    for n in range(1, 4):
        schedule, said = run_until_idle(schedule, situation(START + n * MINUTE + timedelta(seconds=9)))
        assert told(said) == [("fired", n, 1)]


def test_a_process_that_stood_still_has_missed_what_passed():
    _, said = run_until_idle(made(catchup="last"), situation(BACK, since=START))
    assert told(said) == CATCHUP["last"]


def test_too_late_is_skipped():
    spec = {"catchup": "all", "max_lateness_ms": 150_000}
    _, said = run_until_idle(made(**spec), situation(BACK, since=BACK))
    assert told(said) == [("skipped", 1, 7), ("fired", 8, 1), ("fired", 9, 1), ("fired", 10, 1)]
    assert said[0].reason == "max_lateness"
    assert said[0].through == START + 7 * MINUTE


def test_more_than_fit_into_an_event_are_skipped_in_several(monkeypatch):
    monkeypatch.setattr(schedules, "SKIPPED_AT_ONCE", 4)
    _, said = run_until_idle(made(catchup="none"), situation(BACK, since=BACK))
    assert told(said) == [("skipped", 1, 4), ("skipped", 5, 4), ("skipped", 9, 2)]


def test_overlap_allow_and_skip_and_cancel():
    where = situation(START + MINUTE, live=["r"])
    assert told(run_until_idle(made(), where)[1]) == [("fired", 1, 1)]
    _, [skipped] = run_until_idle(made(overlap="skip"), where)
    assert (skipped.reason, skipped.detail) == ("overlap", "run r has not ended")
    _, [fired] = run_until_idle(made(overlap="cancel_running"), where)
    assert fired.cancelled == ["r"]


def test_overlap_queue_keeps_the_order():
    schedule = made(overlap="queue", catchup="all")
    schedule, said = run_until_idle(schedule, situation(START + 2 * MINUTE, live=["r"]))
    assert told(said) == [("deferred", 1, 1), ("deferred", 2, 1)]
    assert said[0].behind == "r"
    [first] = schedules.decide(schedule, situation(START + 2 * MINUTE))
    assert told([first]) == [("fired", 1, 1)]
    schedule = evolve(schedule, first, 9)
    schedule, said = run_until_idle(schedule, situation(START + 3 * MINUTE, live=[first.run_id]))
    assert told(said) == [("deferred", 3, 1)]
    assert schedule.deferred == [START + 2 * MINUTE, START + 3 * MINUTE]


def test_what_waits_too_long_is_skipped():
    schedule = made(overlap="queue", max_lateness_ms=90_000)
    schedule, _ = run_until_idle(schedule, situation(START + MINUTE, live=["r"]))
    schedule, said = run_until_idle(schedule, situation(START + 2.9 * MINUTE, since=START))
    assert told(said) == [("skipped", 1, 1), ("fired", 2, 1)]
    assert schedule.deferred == []


def test_what_would_be_refused_is_skipped_with_the_reason():
    _, [skipped] = run_until_idle(made(), situation(START + MINUTE, refusal="no such flow"))
    assert (skipped.reason, skipped.detail) == ("rejected", "no such flow")


def test_paused_and_removed_ones_do_nothing_and_resumed_ones_do_not_catch_up():
    paused = say(made(catchup="all"), SchedulePaused, by="ann")
    assert schedules.wakes_at(paused) is None
    assert schedules.decide(paused, situation(BACK, since=BACK)) == ()
    resumed = say(paused, ScheduleResumed, at=BACK)
    assert told(run_until_idle(resumed, situation(START + 11 * MINUTE))[1]) == [("fired", 11, 1)]
    removed = say(resumed, ScheduleRemoved)
    assert schedules.decide(removed, situation(BACK + MINUTE)) == ()
    assert say(removed, SchedulePaused) is removed


def test_a_changed_rule_counts_from_then_on_and_other_changes_lose_nothing():
    schedule = made(catchup="all")
    tagged = say(schedule, ScheduleUpdated, at=BACK, spec=msgspec.structs.replace(schedule.spec, tags=["a"]))
    assert len(run_until_idle(tagged, situation(BACK, since=BACK))[1]) == 10
    changed = say(
        schedule, ScheduleUpdated, at=BACK, spec=msgspec.structs.replace(schedule.spec, cron="*/2 * * * *")
    )
    assert told(run_until_idle(changed, situation(START + 12 * MINUTE))[1]) == [("fired", 12, 1)]


def test_a_pause_survives_an_update_unless_it_says_so_itself():
    paused = say(made(), SchedulePaused, by="ann")
    kept = say(paused, ScheduleUpdated, spec=msgspec.structs.replace(paused.spec, tags=["a"]))
    assert (kept.paused, kept.paused_by) == (True, "ann")
    off = say(made(), ScheduleUpdated, spec=msgspec.structs.replace(EVERY_MINUTE, active=False))
    assert off.paused
    on = say(off, ScheduleUpdated, at=BACK, spec=EVERY_MINUTE)
    assert not on.paused
    assert schedules.wakes_at(on) == START + 11 * MINUTE


def test_backfill_does_not_move_the_schedule_on():
    schedule = made()
    pairs = schedules.instants_between(schedule, START - 3 * MINUTE, START)
    assert [(at - START) / MINUTE for at, _ in pairs] == [-3, -2, -1]
    stamp = Stamp(now=START, event_id="e")
    for pair in pairs:
        schedule = evolve(schedule, schedules.backfilled(schedule, pair, "ann", stamp), 9)
    assert (schedule.fired, schedule.last_run_id) == (3, None)
    assert schedules.wakes_at(schedule) == START + MINUTE
    with pytest.raises(InvalidInput, match="more than 1,000"):
        schedules.instants_between(schedule, START, START + 1001 * MINUTE)
    assert len(schedules.instants_between(schedule, START, START + 1000 * MINUTE)) == 1000


def test_condensed_it_is_the_same():
    schedule = made(overlap="queue", jitter_ms=10)
    schedule, _ = run_until_idle(schedule, situation(START + 2 * MINUTE, live=()))
    schedule, _ = run_until_idle(schedule, situation(START + 3.5 * MINUTE, live=["r"]))
    [condensed] = schedules.condense(schedule, Stamp(now=BACK, event_id="e"))
    assert msgspec.structs.replace(evolve(None, condensed, 77), last_seq=0) == msgspec.structs.replace(
        schedule, last_seq=0
    )
    assert schedules.condense(say(schedule, ScheduleRemoved), Stamp(now=BACK, event_id="e")) == ()


POLICIES = st.fixed_dictionaries(
    {
        "catchup": st.sampled_from(["none", "last", "all"]),
        "overlap": st.sampled_from(["allow", "skip", "queue", "cancel_running"]),
        "jitter_ms": st.sampled_from([0, 20_000, 10**7]),
        "max_lateness_ms": st.sampled_from([None, 70_000]),
        "cron": st.sampled_from(["* * * * *", "*/3 * * * *", "30 * * * * *", "1,2,5 * * * *"]),
    }
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["wait", "restart", "begin", "end"]), st.integers(1, 400)), max_size=25
)


@given(POLICIES, STEPS)
@settings(max_examples=80, deadline=None)
def test_every_instant_is_decided_once_and_what_fires_is_what_was_previewed(policy, steps):
    schedule, now, since, live, said = made(**policy), START, START, [], []
    for what, seconds in steps:
        now += timedelta(seconds=seconds)
        if what == "restart":
            since = now
        live = {"begin": ["r"], "end": []}.get(what, live)
        schedule, more = run_until_idle(schedule, situation(now, since=since, live=live))
        said += more
    due = [
        one.at
        for one in occurrence.preview(schedule.spec, ID, START, 5000)
        if one.due_at <= now and one.at <= now
    ]
    decided = []
    for event in said:
        if event.type == "schedule.deferred":
            continue
        through = getattr(event, "through", None) or event.at_instant
        decided += [at for at in due if event.at_instant <= at <= through]
    assert sorted([*decided, *schedule.deferred]) == due
    runs = [event.run_id for event in said if event.type == "schedule.fired"]
    assert len(runs) == len(set(runs))
    assert schedule.fired == len(runs)
    assert schedule.fired + schedule.skipped + len(schedule.deferred) == len(due)
