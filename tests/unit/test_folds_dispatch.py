"""Which events of a distributed task count: judged by its dispatch and by who holds it, not by the run's epoch."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from perfect_schemas import events as e
from perfect_schemas.envelope import ErrorInfo, Event, StoredValue
from perfect_schemas.folds.history import History, fold
from perfect_schemas.states import TaskState as T

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ERROR = ErrorInfo(kind="builtins:ValueError", message="no")
ONE = StoredValue(value=msgspec.Raw(b"1"))


def run(kind: type, **fields: Any) -> Event:
    return kind(id="r", at=START, source="test", run_id="r", **fields)


def task(kind: type, *, who: str | None = None, key: str = "t-0", epoch: int = 1, **fields: Any) -> Event:
    source = f"worker:{who}" if who else "worker:parent"
    if kind is e.TaskStarted and who:
        fields.setdefault("client_id", who)
    return kind(
        id="t",
        at=START + timedelta(seconds=1),
        source=source,
        run_id="r",
        task_run_id=key,
        task_key=key,
        task_id="i",
        name="t",
        epoch=epoch,
        **fields,
    )


SCHEDULED = run(e.RunScheduled, flow_id="f", flow_name="f")
CLAIMED = run(e.RunStarted, client_id="parent", epoch=1)
LOST = run(e.RunLost, client_id="parent", reason="gone")
QUEUED_AGAIN = run(e.RunQueued)
CLAIMED_AGAIN = run(e.RunStarted, client_id="other", epoch=2)
QUEUED = task(e.TaskQueued, queue="gpu", dispatch_id="d1")
TAKEN = task(e.TaskStarted, who="gpu", dispatch_id="d1")
REPLACED = task(e.TaskQueued, queue="gpu", dispatch_id="d2", replaces="d1", client_id="gpu", losses=1)


def done(who: str = "gpu", dispatch_id: str | None = "d1", **fields: Any) -> Event:
    return task(e.TaskCompleted, who=who, dispatch_id=dispatch_id, duration_ms=5, result=ONE, **fields)


def after(*events: Event) -> History:
    return fold(enumerate((SCHEDULED, CLAIMED, *events), 1))


def test_it_is_queued_taken_and_completed() -> None:
    life = after(QUEUED).tasks["t-0"]
    assert (life.state, life.dispatch_id, life.client_id) == (T.PENDING, "d1", None)
    life = after(QUEUED, TAKEN).tasks["t-0"]
    assert (life.state, life.dispatch_id, life.client_id) == (T.RUNNING, "d1", "gpu")
    assert after(QUEUED, TAKEN, done()).tasks["t-0"].state is T.COMPLETED


def test_the_first_to_take_it_has_it() -> None:
    late = task(e.TaskStarted, who="gpu2", dispatch_id="d1")
    history = after(QUEUED, TAKEN, late, done("gpu2"))
    assert history.ignored == 2
    assert history.tasks["t-0"].client_id == "gpu"
    assert history.tasks["t-0"].state is T.RUNNING


def test_its_own_worker_may_begin_it_again() -> None:
    again = task(e.TaskStarted, who="gpu", dispatch_id="d1", attempt=2)
    assert after(QUEUED, TAKEN, again).tasks["t-0"].attempt == 2


@pytest.mark.parametrize("between", [(LOST,), (LOST, QUEUED_AGAIN), (LOST, QUEUED_AGAIN, CLAIMED_AGAIN)])
def test_the_run_may_have_moved_on(between: tuple[Event, ...]) -> None:
    for order in ((QUEUED, TAKEN, *between), (QUEUED, *between, TAKEN)):
        history = after(*order, done())
        assert history.ignored == 0
        assert history.tasks["t-0"].state is T.COMPLETED
        assert history.tasks["t-0"].epoch == history.run.epoch


def test_what_failed_counts_for_the_epoch_that_saw_it() -> None:
    failed = task(e.TaskFailed, who="gpu", dispatch_id="d1", duration_ms=1, error=ERROR)
    assert after(QUEUED, TAKEN, LOST, QUEUED_AGAIN, CLAIMED_AGAIN, failed).tasks["t-0"].epoch == 2


def test_a_replaced_dispatch_is_over() -> None:
    history = after(QUEUED, TAKEN, REPLACED)
    life = history.tasks["t-0"]
    assert (life.state, life.dispatch_id, life.client_id, life.losses) == (T.PENDING, "d2", None, 1)
    zombie = after(QUEUED, TAKEN, REPLACED, done(), task(e.TaskStarted, who="gpu", dispatch_id="d1"))
    assert zombie.tasks == history.tasks
    other = task(e.TaskStarted, who="gpu2", dispatch_id="d2")
    history = after(QUEUED, TAKEN, REPLACED, other, done(), done("gpu2", "d2"))
    assert history.tasks["t-0"].state is T.COMPLETED
    assert history.ignored == 1


def test_nothing_is_replaced_that_is_done_or_somebody_elses() -> None:
    assert after(QUEUED, TAKEN, done(), REPLACED).tasks["t-0"].dispatch_id == "d1"
    for wrong in ({"client_id": "gpu2"}, {"replaces": "d0"}):
        history = after(QUEUED, TAKEN, msgspec.structs.replace(REPLACED, **wrong))
        assert history.tasks["t-0"].dispatch_id == "d1"
        assert history.ignored == 1


def test_the_first_end_counts() -> None:
    failed = task(e.TaskFailed, who="gpu", dispatch_id="d1", duration_ms=1, error=ERROR)
    assert after(QUEUED, TAKEN, done(), failed).tasks["t-0"].state is T.COMPLETED


def test_nothing_counts_once_the_run_has_ended() -> None:
    history = after(QUEUED, TAKEN, run(e.RunFailed, duration_ms=1, error=ERROR), done())
    assert history.tasks["t-0"].state is T.CANCELLED
    retried = after(
        QUEUED,
        TAKEN,
        run(e.RunFailed, duration_ms=1, error=ERROR),
        run(e.RunRetried, by="ann"),
        QUEUED_AGAIN,
        CLAIMED_AGAIN,
        task(e.TaskQueued, queue="gpu", dispatch_id="d3", epoch=2),
        done(),
    )
    assert (retried.tasks["t-0"].state, retried.tasks["t-0"].dispatch_id) == (T.PENDING, "d3")


def test_tasks_within_it_belong_to_its_dispatch() -> None:
    inner = {"key": "t-0/in-0", "dispatch_id": "d1"}
    begun = task(e.TaskStarted, who="gpu", **inner)
    ended = task(e.TaskCompleted, who="gpu", duration_ms=1, result=ONE, **inner)
    history = after(QUEUED, TAKEN, LOST, QUEUED_AGAIN, CLAIMED_AGAIN, begun, ended)
    assert history.tasks["t-0/in-0"].state is T.COMPLETED
    stranger = task(e.TaskStarted, who="gpu2", **inner)
    assert "t-0/in-0" not in after(QUEUED, TAKEN, stranger).tasks
    assert "t-0/in-0" not in after(QUEUED, TAKEN, REPLACED, begun).tasks
    assert after(QUEUED, TAKEN, done(), begun).ignored == 1


def test_what_is_said_without_a_dispatch_is_judged_by_its_epoch() -> None:
    """The run itself gives a task up, or runs it itself now."""
    given_up = task(e.TaskFailed, duration_ms=0, error=ERROR, dispatch_id=None)
    assert after(QUEUED, TAKEN, given_up).tasks["t-0"].state is T.FAILED
    mine = task(e.TaskStarted, who="parent", epoch=1)
    history = after(QUEUED, TAKEN, mine, done())
    assert (history.tasks["t-0"].state, history.tasks["t-0"].dispatch_id) == (T.RUNNING, None)
