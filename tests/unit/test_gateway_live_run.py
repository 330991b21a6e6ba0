"""The fold of a run whose page is open: what is drawn of it, and when."""

from datetime import UTC, datetime
from typing import Any

from perfect_gateway import shapes
from perfect_gateway.facts import facts_of
from perfect_gateway.folded import active_of, run_of
from perfect_gateway.live.board import LiveRun
from perfect_schemas import events
from perfect_schemas.folds.history import fold
from perfect_schemas.views import FlowView, StatisticsView, StatisticView

NOW = datetime(2026, 1, 1, tzinfo=UTC)

RUN = "01900000-0000-7000-8000-000000000001"

FLOW = "f1f1f1f1-0000-5000-8000-000000000001"


def make_facts(counts: dict[str, float] | None = None) -> Any:
    def statistic(key: str, name: str | None, samples: int) -> StatisticView:
        return StatisticView(
            id=key,
            flow_name="f",
            task_name=name,
            avg_duration_ms=500.0,
            m2=0.0,
            std_dev_ms=None,
            sample_count=samples,
            min_duration_ms=1,
            max_duration_ms=2,
            last_updated=NOW,
        )

    flow = FlowView(
        id=FLOW,
        name="f",
        description="",
        tags=[],
        version="1",
        tasks=[
            events.TaskDefinition(id="a", name="a", weight=3, estimated_time=100),
            events.TaskDefinition(id="b", name="b", estimated_time=200),
        ],
        parameters={},
        schedules=[],
        statistics=statistic(FLOW, None, 2),
        expected_counts=counts or {},
    )
    return facts_of(flow, StatisticsView(tasks=[statistic("a", "a", 3), statistic("b", "b", 2)], flows=[]))


def history(*more: events.Event) -> Any:
    said = [
        events.RunScheduled(id="1", at=NOW, source="t", run_id=RUN, flow_id=FLOW, flow_name="f"),
        events.RunStarted(id="2", at=NOW, source="t", run_id=RUN, epoch=1, client_id="c"),
        *more,
    ]
    return fold(enumerate(said, 1))


def task(kind: type, key: str, **fields: Any) -> Any:
    return kind(
        id=key,
        at=NOW,
        source="t",
        run_id=RUN,
        epoch=1,
        task_run_id=key,
        task_key=key,
        task_id=key[0],
        name=key[0],
        **fields,
    )


def test_expectations_come_from_history_first() -> None:
    facts = make_facts()
    assert facts.expected_ms == {"a": 500.0, "b": 200.0}
    assert facts.run_expected_ms is None  # two samples are too few


def test_a_live_run() -> None:
    facts = make_facts({"b": 3.0})
    folded = history(
        task(events.TaskStarted, "a-0"),
        task(events.TaskCompleted, "a-0", duration_ms=5),
        task(events.TaskStarted, "b-0"),
    )
    run = run_of(folded, facts)
    assert run is not None
    assert (run.progress, run.tasks_done, run.tasks_total) == (50.0, 1, 4)
    assert [(task["share"], task["expected_ms"]) for task in active_of(folded, facts)] == [(1 / 6, 200.0)]
    assert run_of(fold([]), facts) is None


def test_the_end_of_every_open_row_is_drawn() -> None:
    run = LiveRun()
    run.history = history(*(task(events.TaskStarted, f"a-{n}") for n in range(500)))
    run.changed = set(run.history.tasks)
    assert [life.key for life in run.take_changed()] == [f"a-{n}" for n in range(200, 500)]
    end_backwards(run, 500)
    drawn = {life.key for life in run.take_changed()}
    assert drawn == {f"a-{n}" for n in (*range(300), *range(200, 500))}
    assert run.open == set()
    assert run.take_changed() == []


def test_of_a_large_run_few_rows_are_drawn() -> None:
    """Those that pages list."""
    run = LiveRun()
    run.history = history(*(task(events.TaskStarted, f"a-{n}") for n in range(2000)))
    run.begin()
    assert run.open == {f"a-{n}" for n in range(500)}
    run.changed = {f"a-{n}" for n in range(400, 2000)}
    assert {life.key for life in run.take_changed()} == {f"a-{n}" for n in range(400, 500)}
    end_backwards(run, 2000)
    drawn = {life.key for life in run.take_changed()}
    assert drawn == {f"a-{n}" for n in range(500)}
    assert run.open == set()


def end_backwards(run: LiveRun, count: int) -> None:
    for n in range(count):
        ended = task(events.TaskCompleted, f"a-{n}", duration_ms=1)
        run.changed |= {life.key for life in run.history.apply(ended, 5000 + count - n)}


def test_shapes() -> None:
    error = {"kind": "builtins:ValueError", "message": "no"}
    assert shapes.error_shape(error) == {"type": "ValueError", "message": "no", "traceback": ""}
    assert shapes.error_shape(None) is None
    assert shapes.line_number(7, 3) > shapes.line_number(6, 99_999)
    for run, expected in (
        ({"state": "RUNNING"}, ["cancel", "pause"]),
        ({"state": "CANCELLING"}, []),
        ({"state": "PAUSED", "waits_for": "sleep"}, ["cancel"]),
        ({"state": "PAUSED", "waits_for": "input"}, ["cancel", "resume"]),
        ({"state": "COMPLETED"}, ["fork"]),
        ({"state": "FAILED"}, ["retry", "fork"]),
        ({"state": "FAILED", "origin": "child"}, []),
    ):
        assert shapes.actions(run) == expected
