"""What sets runs going again: given a state, when somebody wants it or the time has come, then these events."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from perfect_engine import fork, revival, waiting
from perfect_engine import run as rules
from perfect_engine.inputs import check_input, given_input
from perfect_engine.placement import Worker
from perfect_engine.run import Stamp
from perfect_engine.waiting import Around
from perfect_schemas import events as e
from perfect_schemas import ids
from perfect_schemas.commands import ForkRun
from perfect_schemas.envelope import ErrorInfo, StoredValue
from perfect_schemas.errors import Conflicting, InvalidInput, NotFound
from perfect_schemas.events import OpenWait
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import RunLife, evolve, is_legal
from perfect_schemas.states import RunState as S

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STAMP = Stamp(now=NOW, event_id="e1")
LATER = NOW + timedelta(seconds=1)


def life(state=S.PAUSED, **fields):
    values = {
        "id": "r1", "flow_id": "f", "flow_name": "etl", "state": state, "created_at": NOW, "last_seq": 3, "epoch": 1,
    } | fields  # fmt: skip
    return RunLife(**values)


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


# -- paused from outside


def paused_from_outside(**fields):
    return life(waits_for="input", wait_key="pausing-1", pausing_by="ann", **fields)


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


# -- forks


def task(kind, n, key, epoch=1, **fields):
    return kind(
        id=f"e{n}", at=NOW, source="w", run_id="o", task_run_id=key, task_key=key, task_id="t", name="t", epoch=epoch,
        ordinal=n, **fields,
    )  # fmt: skip


def done(n, key, result=b"1", **fields):
    value = StoredValue(value=msgspec.Raw(result)) if result is not None else None
    return task(e.TaskCompleted, n, key, duration_ms=1, result=value, **fields)


def origin():
    """a, then b, which calls b/c; then a pause; then d, whose result was not kept, and f, which failed."""
    history = History()
    said = [
        e.RunScheduled(
            id="1", at=NOW, source="e", run_id="o", flow_id="f", flow_name="etl", parameters={"x": 1}
        ),
        e.RunQueued(id="2", at=NOW, source="e", run_id="o"),
        e.RunStarted(id="3", at=NOW, source="w", run_id="o", epoch=1, client_id="c"),
        done(4, "a-0", input_digest="d"),
        task(e.TaskStarted, 5, "b-0"),
        done(6, "b-0/c-0"),
        done(7, "b-0"),
        e.RunSuspended(id="8", at=NOW, source="w", run_id="o", epoch=1, waits_for="input", key="pause-0"),
        e.RunResumed(id="9", at=NOW, source="e", run_id="o", input="yes"),
        e.RunQueued(id="10", at=NOW, source="e", run_id="o"),
        e.RunStarted(id="11", at=NOW, source="w", run_id="o", epoch=2, client_id="c"),
        done(12, "d-0", result=None, epoch=2),
        task(e.TaskFailed, 13, "f-0", epoch=2, duration_ms=1, error=ErrorInfo(kind="x", message="y")),
    ]
    for seq, event in enumerate(said, 1):
        history.apply(event, seq)
    return history


@pytest.mark.parametrize(
    ("from_key", "is_changed", "keys", "waits"),
    [
        (None, False, ["a-0", "b-0", "b-0/c-0"], ["pause-0"]),
        (None, True, ["a-0"], ["pause-0"]),  # inputs that are not known cannot be compared
        ("f-0", False, ["a-0", "b-0", "b-0/c-0"], ["pause-0"]),
        ("d-0", False, ["a-0", "b-0", "b-0/c-0"], ["pause-0"]),
        ("b-0/c-0", False, ["a-0"], []),  # nor the task that called it
        ("a-0", False, [], []),
    ],
)
def test_what_a_fork_takes_over(from_key, is_changed, keys, waits):
    history = origin()
    assert [one.key for one in fork.taken(history, from_key, is_changed=is_changed)] == keys
    assert [one.key for one in fork.waits(history, from_key)] == waits


def test_a_fork_from_begin_to_end():
    history = origin()
    run_id = ids.uuid7()
    command = ForkRun(run_id=run_id, origin_run_id="o", by="ann", from_key="d-0", parameters={"y": 2})
    [scheduled] = fork.schedule(None, history.run, command, "v2", STAMP)
    made = History()
    made.apply(scheduled, 1)
    assert fork.schedule(made.run, history.run, command, "v2", STAMP) == ()
    assert made.run.parameters == {"x": 1, "y": 2}
    assert fork.is_open(made.run)
    assert not rules.needs_queueing(made.run, NOW)
    tasks = fork.taken(history, made.run.from_key, is_changed=False)
    adoptions = fork.adoptions(made.run, tasks, {}, STAMP)
    assert [one.id for one in adoptions] == [one.id for one in fork.adoptions(made.run, tasks, {}, STAMP)]
    made.apply(adoptions[0], 2)
    rest = fork.adoptions(made.run, tasks, made.tasks, STAMP)
    assert [one.task_key for one in rest] == ["b-0", "b-0/c-0"]
    for seq, event in enumerate(rest, 3):
        made.apply(event, seq)
    [forked] = fork.complete(made.run, history.run, fork.waits(history, "d-0"), STAMP)
    assert forked.overrides == {"y": 2}
    made.apply(forked, 5)
    assert fork.complete(made.run, history.run, [], STAMP) == ()
    assert rules.needs_queueing(made.run, NOW)
    assert rules.hand_over(made.run).replay
    assert made.waits["pause-0"].input == "yes"
    assert [one.origin_run_id for one in made.recorded()] == ["o"] * 3


def test_retry_from_a_task_drops_what_began_after_it():
    history = origin()
    history.apply(
        e.RunFailed(
            id="14",
            at=NOW,
            source="w",
            run_id="o",
            epoch=2,
            duration_ms=1,
            error=ErrorInfo(kind="x", message="y"),
        ),
        14,
    )
    history.apply(e.RunRetried(id="15", at=NOW, source="e", run_id="o", by="ann", from_key="b-0/c-0"), 15)
    assert [one.key for one in history.recorded()] == ["a-0"]
    assert history.waits == {}
    history.apply(e.RunStarted(id="16", at=NOW, source="w", run_id="o", epoch=3, client_id="c"), 16)
    history.apply(task(e.TaskStarted, 17, "b-0", epoch=3), 17)
    history.apply(task(e.TaskStarted, 18, "b-0/c-0", epoch=3), 18)
    history.apply(done(19, "b-0/c-0", epoch=3), 19)
    assert {one.key for one in history.recorded()} == {"a-0", "b-0", "b-0/c-0"}


# -- why it waits


def worker(slots, held):
    return Worker("w", slots, held, frozenset({"f"}), frozenset({"default"}))


@pytest.mark.parametrize(
    ("around", "sentence"),
    [
        (Around(), "no worker serves flow 'etl'"),
        (Around(workers=[worker(2, 0)]), "waits for its turn"),
        (
            Around(workers=[worker(2, 2)], taken={"a": 1, "b": 1}),
            "all 2 slots of the worker that serves flow 'etl' are taken: 1 by flow 'a', 1 by flow 'b'",
        ),
        (
            Around(workers=[worker(1, 1)], taken={"a": 1}),
            "the only slot of the worker that serves flow 'etl' is taken by a run of flow 'a'",
        ),
        (
            Around(workers=[worker(9, 1)], flow_limit=1, running=["r9"]),
            "the limit of flow 'etl' is reached (1 at once), held by run r9",
        ),
        (
            Around(workers=[worker(9, 1)], flow_limit=5, running=list("abcde")),
            "the limit of flow 'etl' is reached (5 at once), held by runs a, b, c and 2 more",
        ),
        (
            Around(workers=[worker(9, 0)], flow_limit=0),
            "the limit of flow 'etl' is 0: none of its runs may start",
        ),
        (Around(workers=[worker(9, 0)], flow_limit=2, running=["x"]), "waits for its turn"),
    ],
)
def test_why_it_waits(around, sentence):
    assert waiting.reason(life(S.PENDING), around) == sentence


@pytest.mark.parametrize(
    ("one", "sentence"),
    [
        (life(waits_for="input"), "paused: waits for input"),
        (life(waits_for="child", wait_key="c"), "waits for child run c"),
        (life(waits_for="sleep", wake_at=NOW), "sleeps until 2026-01-01 12:00:00 UTC"),
        (life(S.SCHEDULED, fork_of="o", origin="fork"), "takes over the results of run o"),
        (life(S.CANCELLING), "is being cancelled"),
        (paused_from_outside(), "paused by ann: goes on when it is resumed"),
        (paused_from_outside(origin="child", parent_run_id="p"), "paused with run p, which called it"),
        (
            life(S.RUNNING, pausing_by="ann"),
            "is being paused by ann: stops at its next call of a task, a child flow or a wait",
        ),
        (life(S.FAILED), ""),
    ],
)
def test_why_it_waits_by_itself(one, sentence):
    assert waiting.reason(one, Around()) == sentence


def test_a_running_run_waits_for_a_slot():
    assert waiting.reason(life(S.RUNNING), Around(slot="waits for a slot")) == "waits for a slot"


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
