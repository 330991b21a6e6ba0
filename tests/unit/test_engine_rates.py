"""Spending slots of a rate: who may go when, by the events alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfect_engine import rates, slots
from perfect_engine.run import Stamp
from perfect_schemas.commands import Holder
from perfect_schemas.errors import Conflicting, InvalidInput
from perfect_schemas.events.limit import LimitSet

START = datetime(2026, 1, 1, tzinfo=UTC)
HOLDER = Holder(run_id="r", epoch=1, key="k")


def at(seconds: float) -> Stamp:
    return Stamp(now=START + timedelta(seconds=seconds), event_id="e")


def limit(count=2, decay=1.0):
    return slots.evolve(None, slots.set_limit(None, "api", count, "ann", at(0), decay)[0], 1)


def spend(state, seconds, occupy=1):
    spending = rates.spend(state, "api", HOLDER, occupy, at(seconds))
    for event in spending.events:
        state = slots.evolve(state, event, 1)
    return state, spending.wait_s


def test_a_burst_then_the_rate() -> None:
    state, waits = limit(), []
    for _ in range(5):
        state, wait = spend(state, 0)
        waits.append(wait)
    assert waits == [0, 0, 1, 2, 3]
    assert spend(state, 3.5)[1] == 0.5
    assert spend(state, 60)[1] == 0
    assert state.level(at(2).now) == 3


def test_what_cannot_be() -> None:
    assert rates.spend(None, "api", HOLDER, 1, at(0)).events == ()
    with pytest.raises(InvalidInput):
        spend(limit(2), 0, occupy=3)
    with pytest.raises(Conflicting, match="--decay"):
        spend(limit(2, 0.0), 0)


def test_what_is_spent_survives_changes_and_condensing() -> None:
    state = limit()
    for _ in range(4):
        state, _ = spend(state, 0)
    [condensed] = slots.condense(state, at(1))
    again = slots.evolve(None, condensed, 1)
    assert again is not None
    assert again.level(at(2).now) == state.level(at(2).now) == 2
    changed = slots.evolve(
        state, LimitSet(id="x", at=at(1).now, source="x", name="api", slots=9, slot_decay_per_second=3), 2
    )
    assert changed is not None
    assert (changed.level(at(1).now), changed.level(at(2).now)) == (3, 0)


@given(
    st.lists(st.tuples(st.integers(0, 2000), st.integers(1, 3)), max_size=30),
    st.integers(3, 6),
    st.sampled_from([0.5, 1.0, 4.0]),
)
def test_never_more_than_the_rate_allows(asks, count, decay) -> None:
    state, gone, now = limit(count, decay), [], 0.0
    for gap_ms, occupy in asks:
        now += gap_ms / 1000
        state, wait = spend(state, now, occupy)
        gone.append((now + wait, occupy))
    assert [when for when, _ in gone] == sorted(when for when, _ in gone)
    for n, (begin, _) in enumerate(gone):
        for m in range(n, len(gone)):
            spent = sum(occupy for _, occupy in gone[n : m + 1])
            assert spent <= count + decay * (gone[m][0] - begin) + 1e-4
