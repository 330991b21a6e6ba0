"""The life of one run: every row of the table of legal moves is reached, everything else changes nothing."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from perfect_schemas import events as e
from perfect_schemas.envelope import ErrorInfo, Event, StoredValue
from perfect_schemas.events import RunEvent
from perfect_schemas.folds.moves import MOVES
from perfect_schemas.folds.run import (
    _APPLY,
    RunLife,
    evolve,
    is_legal,
    is_paused_from_outside,
    is_pausing,
    pausing_key,
)
from perfect_schemas.states import RunState as S
from perfect_schemas.views import queued_ms

START = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
ERROR = ErrorInfo(kind="builtins:ValueError", message="no")
NEEDED = {
    e.RunScheduled: {"flow_id": "f", "flow_name": "flow"},
    e.RunStarted: {"client_id": "c2", "client_name": "w2", "epoch": 99},
    e.RunSuspended: {"waits_for": "sleep", "wake_at": START + timedelta(hours=1), "key": "flow/nap-0"},
    e.RunRetrying: {"tries": 1, "due_at": START + timedelta(minutes=1), "error": ERROR},
    e.RunLost: {"client_id": "c1", "reason": "its lease ended"},
    e.RunNamed: {"name": "monday"},
    e.RunPausing: {"by": "ann"},
    e.RunCancelling: {"by": "ann"},
    e.RunCancelled: {"reason": "by ann"},
    e.RunRetried: {"by": "ann"},
    e.RunForked: {"origin_run_id": "r0"},
    e.RunCompleted: {"duration_ms": 5, "result": StoredValue(value=msgspec.Raw(b"1"))},
    e.RunFailed: {"duration_ms": 5, "error": ERROR},
    e.RunCrashed: {"reason": "no worker serves it any more"},
    e.RunRestored: {
        "state": "FAILED",
        "life": msgspec.Raw(
            b'{"id":"r","flow_id":"f","flow_name":"flow","state":"FAILED","created_at":"2026-05-01T12:00:00Z",'
            b'"last_seq":7,"epoch":3,"archived":true}'
        ),
    },
}
# How to get into each state from nothing.
WAYS = {
    None: [],
    S.SCHEDULED: [e.RunScheduled],
    S.PENDING: [e.RunScheduled, e.RunQueued],
    S.RUNNING: [e.RunScheduled, e.RunQueued, e.RunStarted],
    S.PAUSED: [e.RunScheduled, e.RunQueued, e.RunStarted, e.RunSuspended],
    S.CANCELLING: [e.RunScheduled, e.RunQueued, e.RunStarted, e.RunCancelling],
    S.COMPLETED: [e.RunScheduled, e.RunQueued, e.RunStarted, e.RunCompleted],
    S.FAILED: [e.RunScheduled, e.RunQueued, e.RunStarted, e.RunFailed],
    S.CANCELLED: [e.RunScheduled, e.RunCancelled],
    S.CRASHED: [e.RunScheduled, e.RunCrashed],
}
ALL_KINDS = list(RunEvent.__args__)


def make(kind: type[Event], n: int, **values) -> Event:
    values = {**NEEDED.get(kind, {}), **values}
    return kind(id=f"e{n}", at=START + timedelta(seconds=n), source="test", run_id="r", **values)


def life_in(state: S | None) -> RunLife | None:
    life = None
    for n, kind in enumerate(WAYS[state]):
        life = evolve(life, make(kind, n, **({"epoch": 1} if kind is e.RunStarted else {})), n + 1)
    assert (life.state if life else None) == state
    return life


def test_there_is_a_way_into_every_state_and_a_move_table_for_each() -> None:
    assert set(WAYS) == set(MOVES) == {None, *S}
    assert {kind for moves in MOVES.values() for kind in moves} == set(ALL_KINDS) == set(_APPLY)


@pytest.mark.parametrize("state", list(MOVES))
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_every_pair_of_state_and_event(state: S | None, kind: type[Event]) -> None:
    before = life_in(state)
    after = evolve(before, make(kind, 50), 51)
    expected = MOVES[state].get(kind)
    assert is_legal(before, kind) is (expected is not None)
    if expected is None:
        assert after is before
    else:
        assert (after.state, after.last_seq) == (expected, 51)


def test_a_claim_of_an_epoch_that_is_not_newer_changes_nothing() -> None:
    life = evolve(life_in(S.RUNNING), make(e.RunStarted, 7, epoch=2), 8)
    assert (life.epoch, life.client_id) == (2, "c2")
    for epoch in (None, 0, 1, 2):
        assert evolve(life, make(e.RunStarted, 8, epoch=epoch, client_id="zombie"), 9) is life


def test_a_run_that_is_lost_and_continued_keeps_its_first_start() -> None:
    life = life_in(S.RUNNING)
    began = life.start_time
    for n, event in enumerate(
        [
            make(e.RunLost, 10),
            make(e.RunQueued, 11),
            make(e.RunStarted, 12, epoch=2),
            make(e.RunCompleted, 13),
        ]
    ):
        life = evolve(life, event, 20 + n)
    assert (life.state, life.epoch, life.start_time, life.queued_seq) == (S.COMPLETED, 2, began, 21)
    assert life.result == NEEDED[e.RunCompleted]["result"]


def test_a_retry_forgets_the_end_but_not_the_epoch() -> None:
    life = evolve(life_in(S.FAILED), make(e.RunRetried, 9), 9)
    assert (life.state, life.error, life.end_time, life.duration_ms, life.epoch) == (
        S.PENDING,
        None,
        None,
        None,
        1,
    )


def test_what_a_run_waits_for_is_gone_when_it_goes_on() -> None:
    life = life_in(S.PAUSED)
    assert (life.waits_for, life.wait_key) == ("sleep", "flow/nap-0")
    life = evolve(life, make(e.RunResumed, 9), 9)
    assert (life.state, life.waits_for, life.wait_key, life.wake_at) == (S.PENDING, None, None, None)


def test_the_end_of_a_run_that_its_worker_did_not_say_has_a_duration_too() -> None:
    life = evolve(life_in(S.CANCELLING), make(e.RunCancelled, 12), 9)
    assert life.duration_ms == 10_000
    assert evolve(life_in(S.PENDING), make(e.RunCancelled, 12), 9).duration_ms is None


def test_a_warning_changes_the_warning_alone() -> None:
    life = life_in(S.COMPLETED)
    warned = e.PerformanceWarned(
        id="r:z_score",
        at=START,
        source="projector",
        run_id="r",
        rule="z_score",
        severity="critical",
        message="11.0s (498.0σ from 10.0s avg)",
        duration_ms=11000,
        avg_duration_ms=10000,
    )
    after = evolve(life, warned, 99)
    assert after.performance_warning == {
        "type": "slow",
        "severity": "critical",
        "message": "11.0s (498.0σ from 10.0s avg)",
    }
    assert msgspec.structs.replace(after, performance_warning=None) == life
    assert evolve(None, warned, 99) is None


def test_a_pause_is_remembered_through_crashes_until_it_is_resumed_from() -> None:
    life = evolve(life_in(S.RUNNING), make(e.RunPausing, 5), 5)
    for n, event in enumerate([make(e.RunLost, 6), make(e.RunQueued, 7), make(e.RunStarted, 8, epoch=2)]):
        life = evolve(life, event, 6 + n)
    assert is_pausing(life)
    asleep = evolve(life, make(e.RunSuspended, 9), 9)  # it got to a wait of its own first
    assert not is_paused_from_outside(asleep)
    assert evolve(asleep, make(e.RunResumed, 10), 10).pausing_by == "ann"
    paused = evolve(life, make(e.RunSuspended, 9, waits_for="input", key=pausing_key(2), wake_at=None), 9)
    assert is_paused_from_outside(paused)
    assert evolve(paused, make(e.RunResumed, 10), 10).pausing_by is None


def test_the_wait_in_the_queue_counts_from_when_the_run_was_due() -> None:
    def queued(**fields: object) -> int | None:
        life = evolve(None, make(e.RunScheduled, 0, **fields), 1)
        assert queued_ms(life) is None
        for n, event in enumerate([make(e.RunQueued, 10), make(e.RunStarted, 12, epoch=1)]):
            life = evolve(life, event, 2 + n)
        return queued_ms(life)

    assert queued() == 12_000
    assert queued(due_at=START + timedelta(seconds=10)) == 2_000
    assert queued(due_at=START - timedelta(hours=1)) == 12_000  # due before it was known
