from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_schemas import forecast
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = [after * 1000 for after in (10, 12, 14, 16, 20)]


def curves(*durations_ms: int) -> list[forecast.Curve]:
    """Of runs that progress evenly."""
    return [[total * n // 10 for n in range(1, 11)] for total in durations_ms]


def running(**changes) -> RunLife:
    return RunLife(
        id="r", flow_id="f", flow_name="f", state=RunState.RUNNING, created_at=NOON, last_seq=3, start_time=NOON,
        **{"executing_since": NOON} | changes,
    )  # fmt: skip


def seconds(at: datetime | None) -> float | None:
    return None if at is None else (at - NOON).total_seconds()


def test_at_its_start_a_run_takes_as_long_as_the_runs_before_it() -> None:
    found = forecast.outlook(running(), 0, 0, curves(*LATER))
    assert found is not None
    assert seconds(found.finish(0.5, NOON)) == 14
    assert seconds(found.finish(0.9, NOON)) == pytest.approx(18.4)


def test_what_took_less_than_it_has_taken_says_nothing_any_more() -> None:
    found = forecast.outlook(running(), 0, 0, curves(*LATER))
    assert found is not None
    assert seconds(found.finish(0.5, NOON + timedelta(seconds=13))) == 16
    assert seconds(found.finish(0.5, NOON + timedelta(seconds=16))) == 20
    assert found.finish(0.5, NOON + timedelta(seconds=20)) is None


def test_progress_that_comes_late_moves_the_end() -> None:
    found = forecast.outlook(running(), 5, 30_000, curves(*LATER))
    assert found is not None
    assert seconds(found.since) == 30
    assert seconds(found.finish(0.5, NOON + timedelta(seconds=31))) == 37


def test_time_in_which_a_run_waited_is_left_out() -> None:
    resumed = running(ran_ms=4_000, executing_since=NOON + timedelta(hours=1))
    found = forecast.outlook(resumed, 5, 7_000, curves(*LATER))
    assert found is not None
    assert found.since == NOON + timedelta(hours=1, seconds=3)
    earlier = forecast.outlook(resumed, 2, 3_000, curves(*LATER))
    assert earlier is not None
    assert earlier.since == NOON + timedelta(hours=1)


def test_nothing_is_said_with_too_few_runs_or_of_a_run_that_waits() -> None:
    assert forecast.outlook(running(), 0, 0, curves(10, 12)) is None
    assert forecast.outlook(running(executing_since=None), 0, 0, curves(*LATER)) is None


def test_a_curve_ends_with_the_run() -> None:
    assert forecast.curve_of([], 50) == [50] * 10
    assert forecast.curve_of([5, 9, 60], 50) == [5, 9, 50, *[50] * 7]


@pytest.mark.parametrize(
    ("fraction", "step"), [(0.0, 0), (0.099, 0), (0.1, 1), (0.3, 3), (0.7, 7), (0.99, 9), (1.0, 9)]
)
def test_steps_are_tenths(fraction: float, step: int) -> None:
    assert forecast.step_of(fraction) == step


@given(st.lists(st.integers(0, 10**6), min_size=3, max_size=60), st.floats(0, 2 * 10**6))
def test_the_end_is_never_past_and_nine_of_ten_is_never_before_half(durations, elapsed_ms) -> None:
    found = forecast.outlook(running(), 0, 0, curves(*durations))
    assert found is not None
    now = NOON + timedelta(milliseconds=elapsed_ms)
    half, nearly = (found.finish(share, now) for share in (forecast.MEDIAN, forecast.NEARLY_ALL))
    if half is None or nearly is None:
        assert half is nearly is None
        assert elapsed_ms >= max(durations) - 0.001
    else:
        assert now - timedelta(milliseconds=1) <= half <= nearly
