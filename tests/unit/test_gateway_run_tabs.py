"""Columns of task runs, and a run as it was: both pure."""

from datetime import UTC, datetime, timedelta

from perfect_gateway.api.moments import moments_of
from perfect_gateway.facts import Usual
from perfect_gateway.past import Past
from perfect_gateway.task_columns import columns, ended
from perfect_schemas.drawn import TaskColumnsView
from perfect_schemas.envelope import ErrorInfo
from perfect_schemas.events import (
    RunCompleted,
    RunQueued,
    RunScheduled,
    RunStarted,
    TaskCompleted,
    TaskStarted,
)
from perfect_schemas.folds.history import fold
from perfect_schemas.views import TaskRunView

START = datetime(2026, 1, 1, tzinfo=UTC)
RUN = "0198c0de-0000-7000-8000-000000000001"


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


def row(key: str, start: float | None, end: float | None, **changes) -> TaskRunView:
    return TaskRunView(
        id=f"id of {key}",
        run_id=RUN,
        task_key=key,
        task_id=key.rpartition("-")[0],
        name=key.rpartition("-")[0],
        state="COMPLETED" if end is not None else "RUNNING",
        progress=0,
        start_time=None if start is None else at(start),
        end_time=None if end is None else at(end),
        duration_ms=None if end is None or start is None else int((end - start) * 1000),
        attempt=1,
        performance_warning=None,
        **changes,
    )


USUAL = {"a": Usual(avg_duration_ms=10.123, std_dev_ms=None, sample_count=4)}


def drawn(tasks: list[TaskRunView], first: int) -> TaskColumnsView:
    """As the read model would say of them."""
    ids = {task.task_id: task.name for task in tasks}

    def micros(moment: datetime | None) -> int | None:
        return None if moment is None else round(moment.timestamp() * 1e6)

    return TaskColumnsView(
        tasks=list(ids.items()),
        id=[task.id for task in tasks],
        key=[task.task_key for task in tasks],
        of=[list(ids).index(task.task_id) for task in tasks],
        state=[task.state for task in tasks],
        start=[micros(task.start_time) for task in tasks],
        end=[micros(task.end_time) for task in tasks],
        took=[task.duration_ms for task in tasks],
        attempt=[task.attempt for task in tasks],
        first_seq=[first + n for n, _ in enumerate(tasks)],
        last_seq=[first + n + 100 for n, _ in enumerate(tasks)],
        error={n: (task.error.kind, task.error.message) for n, task in enumerate(tasks) if task.error},
        label={n: task.run_name for n, task in enumerate(tasks) if task.run_name},
    )


def test_columns_count_from_the_first_moment_live_and_ended():
    tasks = [
        row("a-0", -1, 2),
        row("b-0", 1, None, error=ErrorInfo(kind="m:E", message="no")),
        row("a-1", None, None, run_name="x"),
    ]
    live = columns(tasks, USUAL, seq=7, begin=at(-1), end_time=at(9), total=3)
    pages = [drawn(tasks[:2], 1), drawn(tasks[2:], 3)]
    view = ended(pages, USUAL, seq=7, start_time=START, end_time=at(9))
    assert view == live
    assert view.start_time == at(-1)
    assert (view.start, view.end, view.took) == ([0, 2000, None], [3000, None, None], [3000, None, None])
    assert [view.tasks[place].name for place in view.of] == ["a", "b", "a"]
    assert [view.states[place] for place in view.state] == ["COMPLETED", "RUNNING", "RUNNING"]
    assert (view.tasks[0].mean_ms, view.tasks[0].std_ms, view.tasks[1].mean_ms) == (10.12, None, None)
    assert (view.error, view.label, view.warning) == ({1: "no"}, {2: "x"}, {})
    assert view.end_ms == 10_000


def test_columns_of_a_run_that_called_no_task():
    view = ended([drawn([], 1)], {}, seq=7, start_time=None, end_time=at(1))
    assert (view.start_time, view.end_ms, view.total, view.key) == (None, None, 0, [])


def events():
    run = {"id": "e", "run_id": RUN, "source": "engine"}
    of_task = {
        "id": "e",
        "run_id": RUN,
        "source": "worker:w",
        "task_run_id": "t",
        "task_key": "a-0",
        "task_id": "a",
        "name": "a",
    }
    said = [
        RunScheduled(**run, at=at(0), flow_id="f", flow_name="F", configuration="debug"),
        RunQueued(**run, at=at(1)),
        RunStarted(**run, at=at(2), epoch=1, client_id="w"),
        TaskStarted(**of_task, at=at(3), epoch=1),
        TaskCompleted(**of_task, at=at(4), epoch=1, duration_ms=1000),
        RunCompleted(**run, at=at(5), epoch=1, duration_ms=3000),
    ]
    return [(10 * n + 5, event) for n, event in enumerate(said)]


def test_the_run_at_every_event_is_the_fold_of_those_up_to_it():
    past = Past(RUN, events(), 55)
    for n, (seq, _) in enumerate(past.events):
        live, then = fold(past.events[: n + 1]), past.until(seq)
        assert (then.run, then.tasks, then.seq) == (live.run, live.tasks, live.seq)
        assert past.place(seq) == past.place(seq + 3) == n
    assert past.until(29).tasks == {}
    assert past.until(35).tasks["a-0"].state == "RUNNING"
    assert past.until(99).run.state == "COMPLETED"
    assert past.place(0) == 0


def test_moments_say_what_each_event_was():
    view = moments_of(Past(RUN, events(), 55))
    assert view.step == [5, 10, 10, 10, 10, 10]
    assert [view.kinds[kind] for kind in view.kind][-3:] == [
        "task.started",
        "task.completed",
        "run.completed",
    ]
    assert [view.tasks[task] if task >= 0 else None for task in view.task] == [None] * 3 + ["a-0"] * 2 + [
        None
    ]
    assert view.at[1] - view.at[0] == 1000
