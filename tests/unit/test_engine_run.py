"""What the engine decides about one run: given a state, when something happens, then these events."""

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from perfect_engine import run as rules
from perfect_engine.run import INFRA_RETRIES, Stamp
from perfect_schemas import ids
from perfect_schemas.commands import TriggerRun
from perfect_schemas.errors import Conflicting, NotFound
from perfect_schemas.folds.flow import Flow
from perfect_schemas.folds.run import RunLife, evolve, is_legal
from perfect_schemas.states import RunState as S

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STAMP = Stamp(now=NOW, event_id="e1")
FLOW = Flow(id=ids.flow_id("etl"), name="etl", version="v1", last_seq=1, created_at=NOW, registered_at=NOW)


def life(state=S.RUNNING, **fields):
    values = {"client_id": "c1"} if state in {S.RUNNING, S.CANCELLING} else {}
    if state is not S.SCHEDULED:
        values |= {"epoch": 1, "queued_seq": 2}
    values |= {
        "id": "r1", "flow_id": FLOW.id, "flow_name": "etl", "state": state, "created_at": NOW, "last_seq": 3,
    } | fields  # fmt: skip
    return RunLife(**values)


def kinds(events):
    return [event.type.removeprefix("run.") for event in events]


LOSE = {state: [] for state in S} | {S.RUNNING: ["lost"], S.CANCELLING: ["cancelled"]}
CANCEL = {
    S.SCHEDULED: ["cancelled"],
    S.PENDING: ["cancelled"],
    S.PAUSED: ["cancelled"],
    S.RUNNING: ["cancelling"],
    S.CANCELLING: [],
}
NOT_PAUSED = {
    S.SCHEDULED: "is SCHEDULED:",
    S.PENDING: "is PENDING:",
    S.CANCELLING: "is CANCELLING:",
    S.PAUSED: "is PAUSED already (paused)",
} | {state: f"has ended already ({state})" for state in S if state.is_final}
END_CHILD = {
    S.SCHEDULED: ["cancelled"],
    S.PENDING: ["cancelled"],
    S.PAUSED: ["cancelled"],
    S.RUNNING: ["cancelling"],
    S.CANCELLING: ["cancelled"],
} | {state: [] for state in S if state.is_final}


def test_pause_a_running_run_once():
    running = life()
    [event] = rules.pause(running, "ann", STAMP)
    assert (event.type, event.by, event.epoch) == ("run.pausing", "ann", 1)
    pausing = evolve(running, event, 4)
    assert (pausing.state, pausing.pausing_by) == (S.RUNNING, "ann")
    assert rules.pause(pausing, "bob", STAMP) == ()
    assert is_legal(pausing, type(rules.cancel(pausing, "bob", STAMP)[0]))


@pytest.mark.parametrize(("state", "why"), NOT_PAUSED.items())
def test_pause_of_a_run_that_does_not_run(state, why):
    with pytest.raises(Conflicting) as caught:
        rules.pause(life(state), "ann", STAMP)
    assert f"run r1 {why}" in caught.value.detail
    assert set(NOT_PAUSED) == set(S) - {S.RUNNING}


def test_pause_of_no_run_and_of_a_child_run():
    with pytest.raises(NotFound):
        rules.pause(None, "ann", STAMP)
    with pytest.raises(Conflicting, match="was called by run p"):
        rules.pause(life(origin="child", parent_run_id="p"), "ann", STAMP)


@pytest.mark.parametrize(("state", "expected"), LOSE.items())
def test_lose(state, expected):
    events = rules.lose(life(state, client_id="c1"), "c1", STAMP, is_served=True)
    assert kinds(events) == expected


def test_lose_of_another_client_says_nothing():
    assert rules.lose(life(), "c2", STAMP, is_served=True) == ()
    assert rules.lose(None, "c2", STAMP, is_served=True) == ()


@pytest.mark.parametrize(
    ("origin", "is_served", "expected"),
    [("local", False, "crashed"), ("local", True, "lost"), ("api", False, "lost"), ("child", False, "lost")],
)
def test_lose_by_origin(origin, is_served, expected):
    assert kinds(rules.lose(life(origin=origin), "c1", STAMP, is_served=is_served)) == [expected]


@pytest.mark.parametrize("state", list(S))
def test_cancel(state):
    if state in CANCEL:
        events = rules.cancel(life(state), "ann", STAMP)
        assert kinds(events) == CANCEL[state]
    else:
        with pytest.raises(Conflicting):
            rules.cancel(life(state), "ann", STAMP)


def test_cancel_of_nothing():
    with pytest.raises(NotFound):
        rules.cancel(None, "ann", STAMP)


@pytest.mark.parametrize(("state", "expected"), END_CHILD.items())
def test_end_child_of_a_cancelled_parent(state, expected):
    child = life(state, origin="child", parent_run_id="p")
    assert kinds(rules.end_child(child, life(S.CANCELLED, id="p"), STAMP)) == expected


def test_end_child_of_a_failed_parent():
    child = life(S.PENDING, origin="child", parent_run_id="p")
    assert kinds(rules.end_child(child, life(S.FAILED, id="p"), STAMP)) == ["crashed"]


@pytest.mark.parametrize("state", list(S))
def test_whatever_is_said_is_legal(state):
    one = life(state, client_id="c1")
    said = [
        *rules.queue(one, STAMP),
        *rules.queue(msgspec.structs.replace(one, queued_seq=one.last_seq), STAMP),
        *rules.queue_again(one, one.queued_seq, STAMP),
        *rules.lose(one, "c1", STAMP, is_served=False),
        *rules.lose(msgspec.structs.replace(one, origin="local"), "c1", STAMP, is_served=False),
        *rules.give_up(one, INFRA_RETRIES, STAMP),
        *rules.end_cancelling(one, STAMP),
        *rules.abandon(msgspec.structs.replace(one, origin="local"), STAMP),
        *rules.end_child(one, life(S.CANCELLED, id="p"), STAMP),
        *rules.end_child(one, life(S.FAILED, id="p"), STAMP),
        *([] if one.state.is_final else rules.cancel(one, "ann", STAMP)),
    ]
    for event in said:
        assert is_legal(one, type(event)), event


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"state": S.SCHEDULED}, True),
        ({"state": S.SCHEDULED, "due_at": NOW}, True),
        ({"state": S.SCHEDULED, "due_at": NOW + timedelta(seconds=1)}, False),
        ({"state": S.SCHEDULED, "origin": "local"}, False),
        ({"state": S.SCHEDULED, "origin": "child"}, False),
        ({"state": S.SCHEDULED, "origin": "local", "epoch": 1}, True),  # its own retry delay is over
        ({"state": S.PENDING, "queued_seq": 3}, False),
        ({"state": S.PENDING, "queued_seq": 2}, True),  # lost since
        ({"state": S.PENDING, "queued_seq": 0, "origin": "local"}, True),
        ({"state": S.PENDING, "queued_seq": 2, "origin": "child"}, False),
        ({"state": S.RUNNING}, False),
        ({"state": S.COMPLETED}, False),
    ],
)
def test_needs_queueing(fields, expected):
    assert rules.needs_queueing(life(**fields), NOW) is expected
    assert bool(rules.queue(life(**fields), STAMP)) is expected


def test_queueing_twice_says_it_once():
    scheduled = life(S.SCHEDULED, last_seq=1)
    [event] = rules.queue(scheduled, STAMP)
    assert rules.queue(evolve(scheduled, event, 2), STAMP) == ()


def test_give_up_only_after_enough_losses():
    lost = life(S.PENDING, reason="gone")
    assert rules.give_up(lost, INFRA_RETRIES - 1, STAMP) == ()
    [event] = rules.give_up(lost, INFRA_RETRIES, STAMP)
    assert "3 times in a row" in event.reason
    assert "gone" in event.reason


def test_schedule_says_it_once_and_carries_everything():
    command = TriggerRun(
        run_id="r1", flow="etl", parameters={"a": 1}, tags=["x"], priority=3, configuration="release",
        scheduled_for=datetime(2026, 5, 1, 12, tzinfo=timezone(timedelta(hours=2))), name="n",
    )  # fmt: skip
    [event] = rules.schedule(None, command, FLOW, STAMP)
    made = evolve(None, event, 1)
    assert (made.flow_id, made.flow_version, made.parameters) == (FLOW.id, "v1", {"a": 1})
    assert (made.tags, made.priority, made.configuration, made.name) == (["x"], 3, "release", "n")
    assert made.due_at == datetime(2026, 5, 1, 10, tzinfo=UTC)
    assert rules.schedule(made, command, FLOW, STAMP) == ()


def test_hand_over_names_the_next_claim():
    first = rules.hand_over(life(S.PENDING, epoch=0, queued_seq=2))
    assert (first.epoch, first.queued_seq, first.replay) == (1, 2, False)
    again = rules.hand_over(life(S.PENDING, epoch=4, queued_seq=9))
    assert (again.epoch, again.queued_seq, again.replay) == (5, 9, True)
