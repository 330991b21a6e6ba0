import math
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_projector import welford
from perfect_projector.batch import Message
from perfect_projector.rollup import GROWTH, Key, Rolls, Whose, bucket
from perfect_projector.welford import EMPTY
from perfect_schemas import subjects
from perfect_schemas.events import RunCompleted, RunScheduled

DAY = date(2026, 5, 1)
WHOSE = Whose("f", "etl", "load")


def key(day: date = DAY, **changes) -> Key:
    return Key(
        **{"id": "t", "measure": "run", "day": day, "configuration": "debug", "flow_version": "v1"} | changes
    )


@given(st.floats(1, 1e10))
def test_the_middle_of_a_bucket_is_within_one_percent(value: float) -> None:
    assert GROWTH ** (bucket(value) - 0.5) == pytest.approx(value, rel=0.0101)


@given(st.lists(st.floats(0, 1e9), min_size=2))
def test_buckets_are_in_order(values: list[float]) -> None:
    places = [bucket(value) for value in sorted(values)]
    assert places == sorted(places)


def test_what_is_below_one_is_one_bucket() -> None:
    assert [bucket(value) for value in (0, 0.99, 1, 1.019, 1.021)] == [0, 0, 1, 1, 2]


def test_a_row_is_new_once_and_is_what_was_added() -> None:
    rolls = Rolls()
    for seq, value in enumerate((10, 10, 1000), 1):
        rolls.add(key(), value, whose=WHOSE, seq=seq, batch=1)
    new, old = rolls.take_rows()
    assert old == []
    [row] = new
    assert row[:8] == (*key(), *WHOSE)
    assert (row[8], row[10:13], row[14]) == (340, (3, 10, 1000), 3)
    assert math.isclose(row[9], 2 * 330**2 + 660**2)
    rolls.add(key(), 5, whose=WHOSE, seq=4, batch=2)
    rolls.add(key(flow_version="v2"), 5, whose=WHOSE, seq=5, batch=2)
    new, old = rolls.take_rows()
    assert [row[4] for row in new] == ["v2"]
    assert [row[10] for row in old] == [4]
    assert rolls.take_rows() == ([], [])


def test_what_was_let_go_goes_on_from_its_row() -> None:
    first, second = Rolls(), Rolls()
    for value in (10, 20):
        first.add(key(), value, whose=WHOSE, seq=1, batch=1)
    rows, _ = first.take_rows()
    second.restore([("t", DAY)], rows)
    for rolls in (first, second):
        rolls.add(key(), 90, whose=WHOSE, seq=2, batch=2)
    assert first.take_rows() == second.take_rows()


def test_only_what_the_batch_did_not_touch_lately_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfect_projector.rollup.MOST_HELD", 1)
    rolls = Rolls()
    rolls.add(key(), 1, whose=WHOSE, seq=1, batch=1)
    rolls.add(key(id="u"), 1, whose=WHOSE, seq=2, batch=5)
    rolls.take_rows()
    rolls.forget(4)
    assert [kept.id for kept in rolls.rolls] == ["u"]


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=40))
def test_a_roll_is_a_summary(values: list[int]) -> None:
    rolls, summary = Rolls(), EMPTY
    for value in values:
        rolls.add(key(), value, whose=WHOSE, seq=1, batch=1)
        summary = welford.add(summary, value)
    [row], _ = rolls.take_rows()
    assert row[8:13] == (summary.mean, summary.m2, summary.count, summary.min, summary.max)


def test_the_flow_of_a_run_that_begins_and_ends_in_the_batch_is_looked_up_first() -> None:
    """Else its day would get a second row."""
    at = datetime.combine(DAY, datetime.min.time(), UTC)
    said = [
        RunScheduled(id="e1", at=at, source="test", run_id="r", flow_id="f", flow_name="etl"),
        RunCompleted(id="e2", at=at, source="test", run_id="r", epoch=1, duration_ms=5),
    ]
    decoded = [
        (Message("EVENTS", seq, subjects.run("r"), b"", 0), event) for seq, event in enumerate(said, 1)
    ]
    rolls = Rolls()
    assert rolls.missing(decoded, {}) == [("f", DAY)]
    rolls.restore([("f", DAY)], [])
    assert rolls.missing(decoded, {}) == []
