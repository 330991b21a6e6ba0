from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from perfect_schemas import events as e
from perfect_schemas.envelope import ErrorInfo, StoredValue
from perfect_schemas.folds.task import BEGINS, STATE_AFTER, TaskLife, evolve
from perfect_schemas.states import FINAL_TASK_STATES
from perfect_schemas.states import TaskState as S

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ERROR = ErrorInfo(kind="builtins:ValueError", message="no")
ONE = StoredValue(value=msgspec.Raw(b"1"))
NEEDED = {
    e.TaskQueued: {"queue": "gpu", "dispatch_id": "d1"},
    e.TaskRetrying: {"next_at": START + timedelta(seconds=9), "error": ERROR},
    e.TaskCompleted: {"duration_ms": 3, "result": ONE},
    e.TaskCached: {"cache_key": "k", "result": ONE},
    e.TaskFailed: {"duration_ms": 3, "error": ERROR},
    e.TaskSkipped: {"reason": "its input failed"},
    e.TaskAdopted: {"origin_run_id": "r0", "result": ONE},
}
KINDS = list(STATE_AFTER)


def make(kind: type, n: int = 0, **values):
    values = {"epoch": 1, **NEEDED.get(kind, {}), **values}
    return kind(
        id=f"e{n}",
        at=START + timedelta(seconds=n),
        source="test",
        run_id="r",
        task_run_id="t",
        task_key="flow/t-0",
        task_id="i",
        name="t",
        **values,
    )


def life_of(*events) -> TaskLife | None:
    life = None
    for seq, event in enumerate(events, 1):
        life = evolve(life, event, seq)
    return life


@pytest.mark.parametrize("kind", KINDS)
def test_any_task_event_may_be_the_first(kind: type) -> None:
    life = evolve(None, make(kind), 7)
    assert (life.state, life.last_seq, life.id, life.key) == (STATE_AFTER[kind], 7, "t", "flow/t-0")


@pytest.mark.parametrize("final", [kind for kind in KINDS if STATE_AFTER[kind] in FINAL_TASK_STATES])
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_final_event_wins_until_the_task_begins_again_in_a_later_epoch(
    final: type, kind: type
) -> None:
    life = life_of(make(e.TaskStarted), make(final, 1))
    assert evolve(life, make(kind, 2), 9) is life
    later = evolve(life, make(kind, 2, epoch=2), 9)
    if kind in BEGINS:
        assert (later.state, later.epoch, later.last_seq) == (STATE_AFTER[kind], 2, 9)
        assert later.duration_ms is None
        assert later.error is None
    else:
        assert later is life


def test_a_retry_keeps_its_attempt_and_its_time() -> None:
    life = life_of(make(e.TaskStarted, attempt=1), make(e.TaskRetrying, 1, attempt=1))
    assert (life.state, life.attempt, life.next_at, life.error) == (
        S.RETRYING,
        1,
        START + timedelta(seconds=9),
        ERROR,
    )
    life = evolve(life, make(e.TaskStarted, 10, attempt=2), 3)
    assert (life.state, life.attempt, life.next_at, life.error) == (S.RUNNING, 2, None, None)
    life = evolve(life, make(e.TaskCompleted, 11, attempt=2), 4)
    assert (life.state, life.attempt, life.result, life.duration_ms) == (S.COMPLETED, 2, ONE, 3)


def test_an_adopted_task_whose_result_was_not_kept_may_run_in_the_first_epoch() -> None:
    life = life_of(make(e.TaskAdopted, epoch=None, result=None))
    assert (life.state, life.epoch, life.origin_run_id) == (S.COMPLETED, 0, "r0")
    life = evolve(life, make(e.TaskStarted, 1, epoch=1), 2)
    assert (life.state, life.origin_run_id) == (S.RUNNING, None)


def test_a_warning_of_an_unknown_task_is_nothing() -> None:
    warned = e.PerformanceWarned(
        id="t:absolute",
        at=START,
        source="projector",
        run_id="r",
        task_key="flow/t-0",
        rule="absolute",
        severity="warning",
        message="m",
        duration_ms=1,
        avg_duration_ms=0.5,
    )
    assert evolve(None, warned, 1) is None
    life = life_of(make(e.TaskStarted), make(e.TaskCompleted, 1))
    after = evolve(life, warned, 9)
    assert after.performance_warning == {"type": "slow", "severity": "warning", "message": "m"}
    assert after.last_seq == life.last_seq


def test_events_of_other_things_change_nothing() -> None:
    life = life_of(make(e.TaskStarted))
    queued = e.RunQueued(id="q", at=START, source="engine", run_id="r")
    assert evolve(life, queued, 9) is life
    assert evolve(None, queued, 9) is None


def running_long(epoch: int = 1, attempt: int = 1) -> e.PerformanceRunningLong:
    return e.PerformanceRunningLong(
        id="t:running_long:1.1", at=START, source="test", run_id="r", task_run_id="t", task_key="flow/t-0", epoch=epoch,
        attempt=attempt, message="running for 9.0s (5.0σ from 4.0s avg)", elapsed_ms=9000, avg_duration_ms=4000,
    )  # fmt: skip


def test_that_a_task_runs_long_is_shown_while_it_runs() -> None:
    started = make(e.TaskStarted, attempt=1)
    life = life_of(started, running_long())
    assert life is not None
    assert life.performance_warning == {
        "type": "running_long", "severity": "warning", "message": "running for 9.0s (5.0σ from 4.0s avg)",
    }  # fmt: skip
    for kind in (e.TaskCompleted, e.TaskFailed, e.TaskRetrying):
        after = evolve(life, make(kind), 3)
        assert after is not None
        assert after.performance_warning is None


@pytest.mark.parametrize("said", [running_long(epoch=2), running_long(attempt=2)])
def test_what_is_said_of_another_try_changes_nothing(said: e.PerformanceRunningLong) -> None:
    life = life_of(make(e.TaskStarted, attempt=1))
    assert evolve(life, said, 2) is life
    ended = life_of(make(e.TaskStarted, attempt=1), make(e.TaskCompleted))
    assert evolve(ended, running_long(), 3) is ended
    assert evolve(None, running_long(), 1) is None
