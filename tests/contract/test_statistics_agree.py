"""Three ways to the same statistics: sample by sample, merged from parts, and DuckDB's own."""

import itertools
from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_projector import welford
from perfect_projector.welford import EMPTY, Summary

durations = st.lists(st.integers(min_value=0, max_value=10**7), min_size=2, max_size=80)


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    made = duckdb.connect()
    yield made
    made.close()


def summary_of(samples: list[int]) -> Summary:
    summary = EMPTY
    for sample in samples:
        summary = welford.add(summary, sample)
    return summary


@given(samples=durations, cuts=st.lists(st.integers(0, 80), max_size=5))
def test_all_agree(connection: duckdb.DuckDBPyConnection, samples: list[int], cuts: list[int]) -> None:
    one_by_one = summary_of(samples)
    places = sorted({0, len(samples), *(min(cut, len(samples)) for cut in cuts)})
    merged = EMPTY
    for start, end in itertools.pairwise(places):
        merged = welford.merge(merged, summary_of(samples[start:end]))
    count, mean, variance, least, greatest = connection.execute(
        "SELECT count(*), avg(n), var_samp(n), min(n), max(n) FROM (SELECT unnest($1::BIGINT[]) AS n)",
        [samples],
    ).fetchall()[0]
    # what is lost to rounding is relative to the samples themselves: all but equal ones have hardly any variance
    rounding = 1e-9 * max(mean, 1.0)
    for found in (one_by_one, merged):
        assert (found.count, found.min, found.max) == (count, least, greatest)
        assert found.mean == pytest.approx(mean, rel=1e-9)
        assert found.m2 / (found.count - 1) == pytest.approx(variance, rel=1e-9, abs=rounding)
