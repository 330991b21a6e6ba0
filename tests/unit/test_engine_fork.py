"""What a fork takes over from its origin, and what a retry from a task drops."""

import msgspec
import pytest
from engine_lives import NOW, STAMP

from perfect_engine import fork
from perfect_engine import run as rules
from perfect_schemas import events as e
from perfect_schemas import ids
from perfect_schemas.commands import ForkRun
from perfect_schemas.envelope import ErrorInfo, StoredValue
from perfect_schemas.folds.history import History


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
