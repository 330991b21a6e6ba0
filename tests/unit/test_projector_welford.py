import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_projector import welford
from perfect_projector.welford import EMPTY, Summary

durations = st.lists(st.integers(min_value=0, max_value=10**7), max_size=60)


def summary_of(samples) -> Summary:
    summary = EMPTY
    for sample in samples:
        summary = welford.add(summary, sample)
    return summary


@given(durations.filter(len))
def test_it_agrees_with_the_standard_library(samples) -> None:
    summary = summary_of(samples)
    assert summary.count == len(samples)
    assert summary.mean == pytest.approx(statistics.fmean(samples), rel=1e-9, abs=1e-9)
    assert (summary.min, summary.max) == (min(samples), max(samples))
    if len(samples) > 1:
        assert summary.std == pytest.approx(statistics.stdev(samples), rel=1e-9, abs=1e-6)


@given(durations, durations)
def test_merging_is_adding_one_by_one(left, right) -> None:
    merged = welford.merge(summary_of(left), summary_of(right))
    whole = summary_of(left + right)
    assert merged.count == whole.count
    assert (merged.min, merged.max) == (whole.min, whole.max)
    assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9)
    assert merged.m2 == pytest.approx(whole.m2, rel=1e-9, abs=1e-3)


def test_large_values_with_a_small_spread_keep_their_spread() -> None:
    samples = [10**9 + n % 3 for n in range(3000)]
    assert summary_of(samples).std == pytest.approx(statistics.stdev(samples), rel=1e-8)


def test_one_sample_has_no_deviation() -> None:
    assert EMPTY.std is None
    assert summary_of([5]).std is None
    assert summary_of([5, 5]).std == 0.0
    assert math.isinf(EMPTY.min)
