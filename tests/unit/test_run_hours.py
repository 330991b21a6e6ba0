"""The hours of the summary, of rows as the statement `run_ends` gives them."""

from datetime import UTC, datetime, timedelta

from perfect_projector.run_counts import RunCounts

NOW = datetime(2026, 3, 4, 12, 30, 40, tzinfo=UTC)


def test_each_end_is_in_its_hour_and_the_old_are_in_none():
    ends = [
        ("COMPLETED", NOW - timedelta(hours=25), 7),
        ("COMPLETED", NOW - timedelta(hours=23, minutes=59), 2),
        ("FAILED", NOW - timedelta(minutes=61), 3),
        ("COMPLETED", NOW, 4),
        ("CRASHED", NOW, 1),
        ("CANCELLED", NOW, 9),
    ]
    rows = [(state, at.replace(second=0), count) for state, at, count in ends]
    summary = RunCounts([], [], rows).summary(NOW)
    assert len(summary.hours) == 24
    assert summary.hours[0] == (2, 0)
    assert summary.hours[22] == (0, 3)
    assert summary.hours[23] == (4, 1)
    assert sum(good for good, _ in summary.hours) == summary.completed_24h == 6
    assert sum(bad for _, bad in summary.hours) == summary.failed_24h == 4
