"""Where a run's time went, and two runs compared: the parts always add up to the whole."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_gateway.attribution import attribute
from perfect_gateway.comparison import MOST_DIFFERENCES, compare, differences
from perfect_gateway.phases import phases
from perfect_gateway.record import RunRecord
from perfect_schemas import events as e
from perfect_schemas.envelope import ErrorInfo
from perfect_schemas.views import RunView, TaskRunView

BEGIN = datetime(2026, 5, 1, 12, tzinfo=UTC)


def at(ms: float) -> datetime:
    return BEGIN + timedelta(milliseconds=ms)


def task(name: str, start: float | None, end: float | None, key: str | None = None, **more) -> TaskRunView:
    took = None if start is None or end is None else int(end - start)
    fields = {
        "id": f"t-{key or name}", "run_id": "r", "task_id": name, "task_key": key or f"{name}-0", "name": name,
        "state": "COMPLETED", "progress": 100.0, "start_time": None if start is None else at(start),
        "end_time": None if end is None else at(end), "duration_ms": took, "attempt": 1, "performance_warning": None,
    }  # fmt: skip
    return TaskRunView(**fields | more)


def run(end: float | None, **more) -> RunView:
    fields = {
        "id": "r", "flow_id": "f", "flow_name": "F", "flow_version": "v1", "state": "COMPLETED", "progress": 100.0,
        "created_at": at(-5), "start_time": at(0), "end_time": None if end is None else at(end), "duration_ms": end,
        "queued_ms": 5, "configuration": "development", "parameters": {}, "tags": [], "client_name": "w",
        "attempt": 1, "error": None, "waiting_for": None, "performance_warning": None, "tasks_done": 0,
        "tasks_total": 0,
    }  # fmt: skip
    return RunView(**fields | more)


def event(kind: type, when: float, **fields):
    return kind(id=f"e{when}", at=at(when), source="test", run_id="r", **fields)


def test_the_phases_of_a_run_that_slept_and_was_lost() -> None:
    found = phases(
        [
            event(e.RunScheduled, 0, flow_id="f", flow_name="F"),
            event(e.RunQueued, 0),
            event(e.RunStarted, 10, client_id="c1", client_name="one", epoch=1),
            event(e.RunSuspended, 30, waits_for="sleep"),
            event(e.RunResumed, 100),
            event(e.RunQueued, 101),
            event(e.RunStarted, 110, client_id="c1", client_name="one", epoch=2),
            event(e.RunPausing, 111, by="me"),
            event(e.RunLost, 150, client_id="c1", reason="its lease ended"),
            event(e.RunQueued, 150),
            event(e.RunStarted, 155, client_id="c2", client_name="two", epoch=3),
            event(e.RunCompleted, 200, duration_ms=190),
        ]
    )
    assert [(phase.kind, round(phase.duration_ms(at(250)))) for phase in found] == [
        ("queued", 10), ("running", 20), ("waiting", 70), ("queued", 1), ("queued", 9), ("running", 40),
        ("queued", 5), ("running", 45), ("ended", 50),
    ]  # fmt: skip
    assert [phase.client_id for phase in found if phase.kind == "running"] == ["c1", "c1", "c2"]
    assert found[2].text == "slept"


def test_a_pause_from_outside_is_told_from_one_of_the_flow() -> None:
    outside, own = phases(
        [
            event(e.RunSuspended, 0, waits_for="input", key="pausing-1"),
            event(e.RunSuspended, 5, waits_for="input", key="ask"),
        ]
    )
    assert (outside.text, own.text) == ("was paused from outside", "waited for input")


def test_time_side_by_side_is_shared_and_a_caller_has_none_while_its_callee_runs() -> None:
    found = attribute(
        [
            task("a", 0, 10),
            task("b", 5, 15),
            task("outer", 20, 40),
            task("inner", 25, 35, key="outer-0/fetch~0/inner-0"),
            task("never", None, None),
        ],
        at(0),
        at(60),
        [(at(45), at(55))],
    )
    assert found.tasks == pytest.approx({"a": 7.5, "b": 7.5, "outer": 10, "inner": 10})
    assert (found.flow_ms, found.waiting_ms, found.total_ms) == pytest.approx((15, 10, 60))


spans = st.tuples(
    st.integers(-20, 120), st.integers(0, 80), st.sampled_from(["a", "b", "a-0/c", "a-0/c-1/d"])
)


@given(st.lists(spans, max_size=30), st.lists(st.integers(0, 100), max_size=6, unique=True))
def test_the_parts_add_up_to_the_run(given_spans, edges) -> None:
    tasks = [
        task(name.rpartition("/")[2], start, start + length, key=f"{name}-{n}")
        for n, (start, length, name) in enumerate(given_spans)
    ]
    edges = sorted(edges)[: len(edges) // 2 * 2]
    waits = [(at(edges[n]), at(edges[n + 1])) for n in range(0, len(edges), 2)]
    found = attribute(tasks, at(0), at(100), waits)
    assert sum(found.tasks.values()) + found.waiting_ms + found.flow_ms == pytest.approx(100)
    assert min([*found.tasks.values(), found.waiting_ms, found.flow_ms]) >= -1e-9


def test_differences_by_path() -> None:
    a = {"day": "mon", "options": {"depth": 1, "same": [1]}, "rows": [1, {"x": 1}], "gone": None, "flag": 1}
    b = {"day": "tue", "options": {"depth": 2, "same": [1]}, "rows": [1, {"x": 2}, 3], "new": 0, "flag": True}
    assert [(one.path, one.a, one.b, one.only_in) for one in differences(a, b)] == [
        ("day", "mon", "tue", None),
        ("options.depth", 1, 2, None),
        ("rows[1].x", 1, 2, None),
        ("rows[2]", None, 3, "b"),
        ("gone", None, None, "a"),
        ("flag", 1, True, None),
        ("new", None, 0, "b"),
    ]
    assert list(differences({"a": 1}, {"a": 1.0})) == []


def test_the_tasks_that_explain_the_difference() -> None:
    a = RunRecord(run=run(100), tasks=[task("read", 0, 20), task("load", 20, 60), task("old", 60, 70)])
    b = RunRecord(
        run=run(
            400,
            id="r2",
            state="FAILED",
            flow_version="v2",
            parameters={"n": 1},
            error=ErrorInfo(kind="m:Bad", message="no"),
        ),
        tasks=[task("read", 0, 50), task("load", 50, 350), task("new", 350, 360)],
    )
    found = compare(a, b, at(1000))
    assert found.delta_ms == 300
    assert [(cause.name, cause.delta_ms) for cause in found.explained_by] == [
        ("load", 260), ("read", 30), ("new", 10),
    ]  # fmt: skip
    assert sum(cause.share or 0 for cause in found.causes) == pytest.approx(1)
    assert {fact.name: (fact.a, fact.b) for fact in found.facts} == {
        "state": ("COMPLETED", "FAILED"),
        "error": (None, "Bad: no"),
        "code version": ("v1", "v2"),
    }
    pairs = {pair.task_key: (pair.a_state, pair.b_state, pair.delta_ms) for pair in found.tasks}
    assert pairs == {
        "read-0": ("COMPLETED", "COMPLETED", 30),
        "load-0": ("COMPLETED", "COMPLETED", 260),
        "old-0": ("COMPLETED", None, None),
        "new-0": (None, "COMPLETED", None),
    }
    assert compare(b, a, at(1000)).explained_by[0].name == "load"  # what made it shorter


def test_runs_that_are_alike_or_have_not_begun() -> None:
    same = RunRecord(run=run(100), tasks=[task("a", 0, 100)])
    found = compare(same, same, at(100))
    assert (found.delta_ms, found.explained_by, found.facts, found.parameters) == (0, [], [], [])
    waiting = RunRecord(run=run(None, start_time=None, state="PENDING"), tasks=[])
    assert compare(same, waiting, at(100)).delta_ms is None


def test_many_different_parameters_are_bounded() -> None:
    a, b = (RunRecord(run=run(1, parameters={"rows": [n] * 500}), tasks=[]) for n in (1, 2))
    found = compare(a, b, at(1))
    assert (len(found.parameters), found.parameters_left_out) == (MOST_DIFFERENCES, 500 - MOST_DIFFERENCES)
