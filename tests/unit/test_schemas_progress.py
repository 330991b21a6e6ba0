import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_schemas.progress import MAX_UNFINISHED, PlannedTask, progress

PLAN = [PlannedTask("extract", weight=1), PlannedTask("load", weight=3)]


@pytest.mark.parametrize(
    ("seen", "finished", "expected"),
    [
        ({}, {}, 0.0),
        ({"extract": 1}, {}, 0.0),
        ({"extract": 1}, {"extract": 0.5}, 0.125),
        ({"extract": 1}, {"extract": 1}, 0.25),
        ({"extract": 1, "load": 1}, {"extract": 1, "load": 0.5}, 0.625),
        ({"extract": 1, "load": 1}, {"extract": 1, "load": 1}, MAX_UNFINISHED),
        ({"extract": 2}, {"extract": 1}, 1 / 5),
        ({"extract": 1, "surprise": 1}, {"extract": 1}, 1 / 5),
    ],
)
def test_weighted_progress(seen: dict, finished: dict, expected: float) -> None:
    assert progress(PLAN, seen, finished) == pytest.approx(expected)


def test_a_task_that_history_knows_to_run_often_counts_as_often() -> None:
    plan = [PlannedTask("map", weight=2, expected_count=10)]
    assert progress(plan, {"map": 3}, {"map": 3}) == pytest.approx(0.3)
    assert progress(plan, {"map": 12}, {"map": 3}) == pytest.approx(0.25)


def test_without_any_task_there_is_no_progress() -> None:
    assert progress([], {}, {}) == 0.0


counts = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(0, 20))
plans = st.lists(
    st.builds(
        PlannedTask,
        task_id=st.sampled_from(["a", "b", "c"]),
        weight=st.floats(0.01, 100),
        expected_count=st.floats(0, 30),
    ),
    unique_by=lambda task: task.task_id,
)


@given(plans, counts, st.data())
def test_it_never_goes_backwards_while_tasks_finish_and_stays_below_one(
    plan: list, seen: dict, data: st.DataObject
) -> None:
    finished = dict.fromkeys(seen, 0.0)
    before = progress(plan, seen, finished)
    for _ in range(5):
        for key, count in seen.items():
            finished[key] = data.draw(st.floats(finished[key], max(count, finished[key])))
        after = progress(plan, seen, finished)
        assert 0.0 <= before <= after + 1e-12
        assert after <= MAX_UNFINISHED
        before = after
