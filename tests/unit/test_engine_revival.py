"""How a run that waits or has ended goes on: resumed, retried, woken."""

from datetime import timedelta

import pytest
from engine_lives import NOW, STAMP, life, paused_from_outside

from perfect_engine import fork, revival, waiting
from perfect_engine import run as rules
from perfect_engine.inputs import check_input, given_input
from perfect_engine.run import Stamp
from perfect_engine.waiting import Around
from perfect_schemas.errors import Conflicting, InvalidInput, NotFound
from perfect_schemas.events import OpenWait
from perfect_schemas.folds.run import evolve, is_legal
from perfect_schemas.states import RunState as S

LATER = NOW + timedelta(seconds=1)


def kinds(events):
    return [event.type.removeprefix("run.") for event in events]


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("waits_for", ["input", "sleep", "child", None])
def test_resume(state, waits_for):
    one = life(state, waits_for=waits_for)
    if state is S.PAUSED and waits_for == "input":
        [event] = revival.resume(one, {"a": 1}, STAMP)
        assert event.input == {"a": 1}
        assert evolve(one, event, 4).state is S.PENDING
    else:
        with pytest.raises(Conflicting, match="r1"):
            revival.resume(one, None, STAMP)


@pytest.mark.parametrize("state", list(S))
def test_retry(state):
    if state in {S.FAILED, S.CRASHED, S.CANCELLED}:
        [event] = revival.retry(life(state), "ann", "t-0", STAMP)
        assert (event.by, event.from_key) == ("ann", "t-0")
        again = evolve(life(state), event, 4)
        assert again.state is S.PENDING
        assert rules.needs_queueing(again, NOW)
        with pytest.raises(Conflicting, match="retry that one"):
            revival.retry(life(state, origin="child", parent_run_id="p"), "ann", None, STAMP)
    else:
        with pytest.raises(Conflicting, match="only a run that is FAILED"):
            revival.retry(life(state), "ann", None, STAMP)


def test_of_nothing():
    for decide in (lambda: revival.resume(None, 1, STAMP), lambda: revival.retry(None, "ann", None, STAMP)):
        with pytest.raises(NotFound):
            decide()
    assert revival.wake(None, STAMP) == revival.child_over(None, "c", STAMP) == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"waits_for": "sleep", "wake_at": NOW}, ["resumed"]),
        ({"waits_for": "input", "wake_at": NOW}, ["resumed"]),
        ({"waits_for": "sleep", "wake_at": LATER}, []),
        ({"waits_for": "input"}, []),
        ({"waits_for": "sleep", "wake_at": NOW, "state": S.PENDING}, []),
    ],
)
def test_wake(fields, expected):
    assert kinds(revival.wake(life(**fields), STAMP)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"waits_for": "child", "wait_key": "c"}, ["resumed"]),
        ({"waits_for": "child", "wait_key": "other"}, []),
        ({"waits_for": "input", "wait_key": "c"}, []),
        ({"waits_for": "child", "wait_key": "c", "state": S.RUNNING}, []),
        ({"waits_for": "child", "wait_key": "c", "state": S.CANCELLED}, []),
    ],
)
def test_child_over(fields, expected):
    assert kinds(revival.child_over(life(**fields), "c", STAMP)) == expected


def side_by_side():
    """Paused for a sleep, two inputs and a child run."""
    beside = [
        OpenWait(key="pause-0", waits_for="input", wake_at=LATER, input_schema={"type": "integer"}),
        OpenWait(key="pause-1", waits_for="input"),
        OpenWait(key="c", waits_for="child"),
    ]
    return life(waits_for="sleep", wait_key="sleep-0", wake_at=NOW, beside=beside)


def test_of_waits_side_by_side_the_first_that_is_over_resumes():
    one = side_by_side()
    assert [event.key for event in revival.wake(one, STAMP)] == ["sleep-0"]
    assert [event.key for event in revival.wake(one, Stamp(now=LATER, event_id="e1"))] == ["sleep-0"]
    assert [event.key for event in revival.child_over(one, "c", STAMP)] == ["c"]
    [event] = revival.resume(one, 7, STAMP, "pause-0")
    assert (event.key, event.input) == ("pause-0", 7)
    assert revival.input_wait(one, "pause-0").input_schema == {"type": "integer"}
    assert revival.awaited_children(one) == ["c"]
    after = evolve(one, event, 4)
    assert (after.state, after.beside, after.wait_key) == (S.PENDING, [], None)


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        (None, "several inputs: say which one is meant by its key, one of 'pause-0', 'pause-1'"),
        ("sleep-0", "does not wait for input at 'sleep-0'; it does at: 'pause-0', 'pause-1'"),
        ("nothing", "does not wait for input at 'nothing'"),
    ],
)
def test_input_must_be_meant_for_one_pause(key, sentence):
    with pytest.raises(Conflicting, match=sentence):
        revival.resume(side_by_side(), 1, STAMP, key)


def test_all_waits_are_said_in_the_sentence():
    assert waiting.reason(side_by_side(), Around()) == (
        "sleeps until 2026-01-01 12:00:00 UTC; waits for input at pause-0; waits for input at pause-1; "
        "waits for child run c"
    )


@pytest.mark.parametrize("state", list(S))
def test_whatever_is_said_is_legal(state):
    one = life(state, waits_for="child", wait_key="c", wake_at=NOW, fork_of="o")
    said = [*revival.wake(one, STAMP), *revival.child_over(one, "c", STAMP), *rules.crash(one, "x", STAMP)]
    said += fork.complete(one, life(id="o"), [], STAMP)
    for event in said:
        assert is_legal(one, type(event)), event


@pytest.mark.parametrize(
    ("parent", "child", "expected"),
    [
        (S.CANCELLED, S.RUNNING, ["cancelling"]),
        (S.CANCELLING, S.PENDING, ["cancelled"]),
        (S.CANCELLED, S.PAUSED, ["cancelled"]),
        (S.CANCELLED, S.CANCELLING, []),
        (S.CANCELLED, S.COMPLETED, []),
        (S.COMPLETED, S.RUNNING, []),
        (S.FAILED, S.RUNNING, []),
    ],
)
def test_a_queued_child_is_cancelled_with_its_parent(parent, child, expected):
    one = life(child, origin="api", parent_run_id="p")
    assert kinds(rules.end_child(one, life(parent, id="p"), STAMP)) == expected


def test_due():
    assert revival.due_of(life(S.SCHEDULED, due_at=NOW)) == NOW
    assert revival.due_of(life(S.SCHEDULED, due_at=NOW, origin="child")) is None
    assert revival.due_of(life(waits_for="input", wake_at=LATER)) == LATER
    sooner = [OpenWait(key="b", waits_for="sleep", wake_at=NOW), OpenWait(key="c", waits_for="input")]
    assert revival.due_of(life(waits_for="input", wake_at=LATER, beside=sooner)) == NOW
    assert revival.due_of(life(S.RUNNING, wake_at=LATER, due_at=LATER)) is None


PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}


@pytest.mark.parametrize(
    ("schema", "given", "fields"),
    [
        (None, {"any": 1}, []),
        (PERSON, {"name": "x", "age": 3}, []),
        (PERSON, {"age": "x"}, ["input.age", "input.name"]),
        (PERSON, {"name": "x", "other": 1}, ["input.other"]),
        (PERSON, None, ["input"]),
        ({"type": "integer"}, 3, []),
        ({"type": "integer"}, "x", ["input"]),
        ({"type": "object"}, {"any": 1}, []),
        ({"$ref": "#/$defs/P", "$defs": {"P": PERSON}}, {"name": 1}, ["input.name"]),
    ],
)
def test_input(schema, given, fields):
    if not fields:
        check_input(schema, given)
        return
    with pytest.raises(InvalidInput) as caught:
        check_input(schema, given)
    assert [error.field for error in caught.value.errors] == fields


def test_any_input_resumes_what_was_paused_from_outside():
    [event] = revival.resume(paused_from_outside(), {"any": 1}, STAMP)
    resumed = evolve(paused_from_outside(), event, 4)
    assert (resumed.state, resumed.pausing_by) == (S.PENDING, None)


def test_a_child_run_that_was_paused_with_its_parent_is_resumed_with_it():
    with pytest.raises(Conflicting, match="was paused with run p"):
        revival.resume(paused_from_outside(origin="child", parent_run_id="p"), None, STAMP)


def test_a_run_that_has_not_stopped_yet_is_not_resumed():
    with pytest.raises(Conflicting, match="it is being paused"):
        revival.resume(life(S.RUNNING, pausing_by="ann"), None, STAMP)


@pytest.mark.parametrize(
    ("schema", "given", "meant"),
    [
        ({"type": "integer"}, {"value": 41}, 41),
        ({"type": "integer"}, 41, 41),
        ({"type": "integer"}, {"value": 41, "more": 1}, {"value": 41, "more": 1}),
        ({"type": "object", "properties": {"value": {}}}, {"value": 41}, {"value": 41}),
        ({"type": "object"}, {"value": 41}, {"value": 41}),
        (None, {"value": 41}, {"value": 41}),
    ],
)
def test_input_of_a_plain_type_may_be_called_value(schema, given, meant):
    assert given_input(schema, given) == meant
