"""Parameters with type hints are converted to them: what comes as text (from a form, say) arrives as what it should be."""

from datetime import date, datetime

from prefect import flow


@flow
def what_day_is_it(day: datetime, count: int, ratio: float, only: date) -> list:
    return [type(day), count, ratio, only]


def check():
    seen = what_day_is_it("2021-01-01T02:00:19.180906", "3", "1.5", "2026-02-03")
    assert seen == [datetime, 3, 1.5, date(2026, 2, 3)]
