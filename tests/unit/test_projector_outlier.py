import msgspec
import pytest

from perfect_bus.settings import Settings
from perfect_projector.outlier import Finding, Thresholds, duration, judge, running_limit, running_long
from perfect_projector.thresholds import thresholds_of
from perfect_projector.welford import EMPTY, Summary


def history(count: int, avg_ms: float, std_ms: float = 0.0) -> Summary:
    return Summary(count, avg_ms, std_ms**2 * (count - 1))


def found(actual_ms: float, before: Summary) -> tuple[str, str, str] | None:
    finding = judge(actual_ms, before)
    return finding and (finding.rule, finding.severity, finding.message)


def test_the_message_of_the_z_score() -> None:
    std = 1000 / 498
    assert found(11_000, history(10, 10_000, std)) == (
        "z_score",
        "critical",
        "11.0s (498.0σ from 10.0s avg)",
    )


@pytest.mark.parametrize(
    ("actual_ms", "expected"),
    [
        (10_299, None),
        (10_300, ("z_score", "warning", "10.3s (3.0σ from 10.0s avg)")),
        (10_399, ("z_score", "warning", "10.4s (4.0σ from 10.0s avg)")),
        (10_400, ("z_score", "critical", "10.4s (4.0σ from 10.0s avg)")),
        (9_000, None),
    ],
)
def test_borders_of_the_z_score(actual_ms, expected) -> None:
    assert found(actual_ms, Summary(5, 10_000.0, 4 * 100.0**2)) == expected


def test_the_z_score_needs_two_samples_and_a_deviation() -> None:
    assert found(11_000, history(1, 10_000)) is None
    assert found(11_000, history(50, 10_000)) is None
    assert found(11_000, history(2, 10_000, 1)) is not None


@pytest.mark.parametrize(
    ("actual_ms", "avg_ms", "expected"),
    [
        (3000, 2000, None),  # exactly 1000 ms and exactly 50 % slower
        (3001, 2000, ("practical", "warning", "3.0s (50% slower than 2.0s avg)")),
        (3100, 2100, None),  # not more than 1000 ms
        (4500, 3000, None),  # not more than 50 %
        (4501, 3000, ("practical", "warning", "4.5s (50% slower than 3.0s avg)")),
        (
            9000,
            3000,
            ("practical", "warning", "9.0s (200% slower than 3.0s avg)"),
        ),  # before the absolute rule
    ],
)
def test_borders_of_the_practical_rule(actual_ms, avg_ms, expected) -> None:
    assert found(actual_ms, history(1, avg_ms)) == expected


@pytest.mark.parametrize(
    ("actual_ms", "expected"),
    [
        (199, None),
        (200, ("absolute", "warning", "200ms (2.0× the 100ms avg)")),
        (299, ("absolute", "warning", "299ms (3.0× the 100ms avg)")),
        (300, ("absolute", "critical", "300ms (3.0× the 100ms avg)")),
    ],
)
def test_borders_of_the_absolute_rule(actual_ms, expected) -> None:
    assert found(actual_ms, history(1, 100)) == expected


def test_nothing_before_says_nothing() -> None:
    assert judge(10**9, EMPTY) is None


def test_an_average_of_zero_has_no_multiples() -> None:
    assert found(500, history(3, 0)) is None
    assert found(1500, history(3, 0)) == ("practical", "warning", "1.5s (slower than 0ms avg)")


def test_a_tick_of_the_clock_is_no_outlier() -> None:
    assert found(9, history(100, 0.1, 0.3)) is None
    assert found(11, history(100, 0.1, 0.3)) is not None


def test_thresholds_are_settings() -> None:
    before = Summary(5, 10_000.0, 4 * 100.0**2)
    assert judge(10_400, before, Thresholds(min_samples=6)) is None
    assert judge(10_200, before, Thresholds(z_warning=2.0)) == Finding(
        rule="z_score", severity="warning", message="10.2s (2.0σ from 10.0s avg)"
    )


def test_durations_read_well() -> None:
    assert [duration(ms) for ms in (0, 7.4, 999, 1000, 61_000)] == ["0ms", "7ms", "999ms", "1.0s", "61.0s"]


@pytest.mark.parametrize(
    ("before", "limit_ms"),
    [
        (EMPTY, None),
        (history(1, 10_000), None),  # one sample says nothing
        (history(2, 10_000, 100), 10_300),
        (history(50, 10_000, 100), 10_300),
        (history(50, 10_000), 20_000),  # always the same: twice as long
        (history(50, 400, 10), 1000),  # nobody looks before a second is over
        (history(50, 2000, 1), 2010),  # less than the least difference is none
    ],
)
def test_when_a_task_runs_long(before, limit_ms) -> None:
    assert running_limit(before) == limit_ms


def test_what_is_said_of_a_task_that_runs_long() -> None:
    before = history(50, 10_000, 100)
    assert running_long(10_299, before) is None
    assert running_long(10_300, before) == "running for 10.3s (3.0σ from 10.0s avg)"
    assert running_long(20_000, history(50, 10_000)) == "running for 20.0s (10.0s avg)"
    assert running_long(10**9, history(1, 10_000)) is None
    assert running_long(600, history(2, 400, 10), Thresholds(running_ms=500)) == (
        "running for 600ms (20.0σ from 400ms avg)"
    )
    assert running_long(10_200, before, Thresholds(z_warning=2.0)) is not None


def test_every_threshold_is_a_setting() -> None:
    odd = Settings(
        warn_min_samples=5, warn_min_delta_ms=6, warn_sigma=7, warn_sigma_critical=8, warn_delta_ms=9, warn_ratio=10,
        warn_times=11, warn_times_critical=12, warn_running_ms=13,
    )  # fmt: skip
    assert msgspec.structs.astuple(thresholds_of(odd)) == (5, 6, 7, 8, 9, 10, 11, 12, 13)
    assert thresholds_of(Settings()) == Thresholds()
