from datetime import UTC, datetime

import pytest

from perfect_projector.retention import due_at, ends


@pytest.mark.parametrize(
    ("month", "end"), [("2026_01", (2026, 2)), ("2026_11", (2026, 12)), ("2026_12", (2027, 1))]
)
def test_months_end(month: str, end: tuple[int, int]) -> None:
    assert ends(month) == datetime(*end, 1, tzinfo=UTC)


def test_a_month_is_due_when_its_last_day_is_old_enough() -> None:
    assert due_at("2026_11", 30) == datetime(2026, 12, 31, tzinfo=UTC)
    assert due_at("2026_11", 0) is None
