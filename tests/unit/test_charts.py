"""What charts are made of: bars of a histogram, weights as one bar, what a text is found in."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_gateway.pages.library import is_found
from perfect_projector.histogram import bars
from perfect_projector.rollup import bucket
from perfect_ui.histogram import histogram
from perfect_ui.weights import MOST, weights


@given(st.lists(st.floats(0, 1e8), min_size=1, max_size=60), st.integers(1, 40))
def test_every_duration_is_in_the_bar_that_has_its_place(durations: list[float], most: int) -> None:
    buckets: dict[int, int] = {}
    for duration in durations:
        buckets[bucket(duration)] = buckets.get(bucket(duration), 0) + 1
    made = bars(buckets, most)
    assert len(made) <= most
    assert all(one.high_ms == following.low_ms for one, following in pairwise(made))
    assert made[0].count > 0
    assert sum(one.count for one in made) == len(durations)
    for one in made:
        surely = sum(one.low_ms * 1.001 <= duration < one.high_ms * 0.999 for duration in durations)
        near = sum(one.low_ms * 0.999 <= duration < one.high_ms * 1.001 for duration in durations)
        assert surely <= one.count <= near


def test_no_bar_of_nothing() -> None:
    assert bars({}) == []
    assert histogram([]) is None


def test_a_histogram_stands_on_its_edges_and_says_its_mean() -> None:
    drawn = histogram(
        [
            {"low_ms": 10.0, "high_ms": 20.0, "count": 4},
            {"low_ms": 20.0, "high_ms": 40.0, "count": 0},
            {"low_ms": 40.0, "high_ms": 80.0, "count": 2},
        ],
        30.0,
    )
    assert drawn is not None
    assert [one.height for one in drawn.bars] == [1000, 0, 500]
    assert [one.label for one in drawn.columns] == ["10 ms", "20 ms", "40 ms", "80 ms"]
    assert drawn.mean == 50
    assert drawn.text == "6 in all; most often 10 ms to 20 ms, 4 times"


@pytest.mark.parametrize("mean", [None, 9.0, 20.0])
def test_a_mean_outside_is_not_drawn(mean: float | None) -> None:
    drawn = histogram([{"low_ms": 10.0, "high_ms": 20.0, "count": 1}], mean)
    assert drawn is not None
    assert drawn.mean is None


def test_weights_fill_the_bar() -> None:
    tasks = [{"name": f"t{n}", "weight": 2.0} for n in range(MOST + 10)]
    found = weights(tasks)
    assert len(found) == MOST + 1
    assert found[-1].title == "10 more"
    assert sum(one.width for one in found) == pytest.approx(100)
    assert found[-1].x + found[-1].width == pytest.approx(100, abs=0.1)
    assert weights([{"name": "t", "weight": 0}]) == []


@pytest.mark.parametrize(
    ("text", "is_there"), [("etl", True), ("NIGHTLY load", True), ("straße", True), ("load nowhere", False)]
)
def test_each_word_is_found_somewhere(text: str, is_there: bool) -> None:
    flow = {
        "name": "ETL",
        "description": "of the STRASSE",
        "tags": ["nightly"],
        "tasks": [{"name": "load"}],
    }
    assert is_found(text, msgspec.json.encode(flow)) is is_there
