"""What wakes a run that is suspended for distributed tasks, as its engine folds it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from perfect_engine import revival
from perfect_engine.awaited import Awaited
from perfect_engine.run import Stamp
from perfect_schemas import codec, ids
from perfect_schemas import events as e
from perfect_schemas.envelope import StoredValue
from perfect_schemas.folds.history import fold
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState as S
from perfect_schemas.waiting_words import waiting_sentence

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STAMP = Stamp(now=NOW, event_id="e1")
ONE = StoredValue(value=msgspec.Raw(b"1"))


def life(**fields: Any) -> RunLife:
    values = {
        "id": "r", "flow_id": "f", "flow_name": "etl", "state": S.PAUSED, "created_at": NOW, "last_seq": 9, "epoch": 3,
        "waits_for": "task", "wait_key": "t-0", "awaited": e.AwaitedTasks(count=2, after=4, seen=7),
    } | fields  # fmt: skip
    return RunLife(**values)


def task(kind: type, who: str = "parent", key: str = "t-0", **fields: Any) -> Any:
    return kind(
        id=ids.uuid7(), at=NOW, source=f"worker:{who}", run_id="r", task_run_id=key, task_key=key, task_id="i", name="t",
        epoch=1, **fields,
    )  # fmt: skip


def queued(dispatch_id: str = "d", **fields: Any) -> Any:
    return task(e.TaskQueued, queue="gpu", dispatch_id=dispatch_id, **fields)


def taken(who: str = "gpu", dispatch_id: str = "d", **fields: Any) -> Any:
    return task(e.TaskStarted, who, client_id=who, dispatch_id=dispatch_id, **fields)


def done(who: str = "gpu", dispatch_id: str = "d", **fields: Any) -> Any:
    return task(e.TaskCompleted, who, dispatch_id=dispatch_id, duration_ms=1, result=ONE, **fields)


def after(*events: Any, first: int = 5) -> Awaited:
    awaited = Awaited(life())
    for seq, event in enumerate(events, first):
        awaited.apply(codec.encode(event), seq)
    return awaited


def test_who_has_one_is_known_and_its_end_wakes_the_run() -> None:
    """The run has claimed twice since it sent the task: it is judged by its dispatch."""
    assert after(queued()).clients({}) == set()
    waiting = after(queued(), taken())
    assert (waiting.is_over, waiting.clients({}), waiting.position) == (False, {"gpu"}, 6)
    over = after(queued(), taken(), done(), first=6)
    assert (over.is_over, over.clients({})) == (True, set())


def test_what_the_run_has_seen_itself_does_not_wake_it() -> None:
    assert not after(queued(), taken(), done()).is_over
    assert after(
        queued(), taken(), done(), queued("d2", key="t-1"), taken(dispatch_id="d2", key="t-1")
    ).clients({}) == {"gpu"}


def test_tasks_called_by_it_and_tasks_of_the_runs_own_do_not_wake_it() -> None:
    inner = "t-0/inner-0"
    said = [queued(), taken(), taken(key=inner), done(key=inner)]
    assert not after(*said, first=6).is_over
    own = [task(e.TaskStarted, key="own-0"), task(e.TaskCompleted, key="own-0", duration_ms=1, result=ONE)]
    assert not after(*own, first=8).is_over


def test_one_that_was_handed_over_again_is_the_new_workers() -> None:
    again = queued("d2", replaces="d", client_id="gpu", losses=1)
    assert after(queued(), taken(), again).clients({}) == set()
    waiting = after(queued(), taken(), again, taken("gpu2", "d2"), done(), first=5)
    assert (waiting.clients({}), waiting.is_over) == ({"gpu2"}, False)


@pytest.mark.parametrize(
    ("told", "clients"), [({"gpu": 6}, set()), ({"gpu": 5}, {"gpu"}), ({"other": 9}, {"gpu"})]
)
def test_a_loss_is_told_once(told: dict[str, int], clients: set[str]) -> None:
    assert after(queued(), taken()).clients(told) == clients


def test_it_is_resumed_from_this_suspension_only() -> None:
    [event] = revival.task_over(life(), 9, STAMP, "gpu")
    assert (event.key, event.lost) == ("t-0", "gpu")
    assert revival.task_over(life(), 8, STAMP, None) == ()
    assert revival.task_over(life(state=S.CANCELLED), 9, STAMP, None) == ()
    assert revival.task_over(None, 9, STAMP, None) == ()
    beside = life(waits_for="sleep", wait_key="sleep-0", beside=[e.OpenWait(key="t-0", waits_for="task")])
    assert [event.key for event in revival.task_over(beside, 9, STAMP, None)] == ["t-0"]


def test_the_history_keeps_who_was_lost_and_where_tasks_were_first_queued() -> None:
    def run(kind: type, **fields: Any) -> Any:
        return kind(id=ids.uuid7(), at=NOW, source="s", run_id="r", **fields)

    waits = e.AwaitedTasks(count=1, after=2, seen=4)
    again = queued("d2", replaces="d", client_id="gpu", losses=1)
    history = fold(
        enumerate(
            [
                run(e.RunScheduled, flow_id="f", flow_name="f"),
                run(e.RunStarted, client_id="c", epoch=1),
                queued(),
                taken(),
                run(e.RunSuspended, waits_for="task", key="t-0", tasks=waits, epoch=1),
                run(e.RunResumed, key="t-0", lost="gpu"),
                run(e.RunStarted, client_id="c", epoch=2),
                msgspec.structs.replace(again, epoch=2),
            ],
            1,
        )
    )
    assert history.lost == {"gpu": 6}
    assert (history.tasks["t-0"].queued_seq, history.tasks["t-0"].dispatch_id) == (3, "d2")
    assert history.run.awaited is None


def test_the_sentence_names_one_and_counts_the_others() -> None:
    assert waiting_sentence(life()) == "waits for task t-0 on another worker and 1 more"
