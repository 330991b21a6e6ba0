"""What `duration_ms` of a run counts: the time in which it executed, whatever happened between its executions."""

from datetime import UTC, datetime, timedelta

from perfect_schemas import events as e
from perfect_schemas import ids
from perfect_schemas.folds.run import RunLife, evolve

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
RUN = ids.uuid7()


def lived(*said: tuple[float, type, dict]) -> RunLife:
    """The life after events at so many seconds from the beginning."""
    life = None
    scheduled = (0.0, e.RunScheduled, {"flow_id": ids.flow_id("f"), "flow_name": "f"})
    for seq, (second, kind, fields) in enumerate([scheduled, *said], 1):
        at = BEGIN + timedelta(seconds=second)
        life = evolve(life, kind(id=str(seq), at=at, source="t", run_id=RUN, **fields), seq)
    assert life is not None
    return life


def started(second: float, epoch: int):
    return second, e.RunStarted, {"epoch": epoch, "client_id": "c"}


def test_a_plain_run_took_as_long_as_its_worker_says() -> None:
    life = lived(started(5, 1), (9, e.RunCompleted, {"duration_ms": 3990}))
    assert (life.duration_ms, life.interrupted) == (3990, False)


def test_waiting_does_not_count_and_what_came_before_it_does() -> None:
    life = lived(
        started(0, 1),
        (2, e.RunSuspended, {"waits_for": "input"}),
        (3600, e.RunResumed, {}),
        (3600, e.RunQueued, {}),
        started(3601, 2),
        (3604, e.RunCompleted, {"duration_ms": 3000}),
    )
    assert (life.duration_ms, life.interrupted) == (5000, False)
    assert life.start_time == BEGIN


def test_a_lost_execution_counts_and_makes_the_duration_unfit_for_statistics() -> None:
    life = lived(
        started(0, 1),
        (7, e.RunLost, {"client_id": "c", "reason": "gone"}),
        (7, e.RunQueued, {}),
        started(8, 2),
        (10, e.RunCompleted, {"duration_ms": 2000}),
    )
    assert (life.duration_ms, life.interrupted) == (9000, True)
    own = lived(started(0, 1), started(4, 2), (5, e.RunCompleted, {"duration_ms": 1000}))
    assert (own.duration_ms, own.interrupted) == (5000, True)


def test_a_retry_goes_on_counting() -> None:
    life = lived(
        started(0, 1),
        (3, e.RunFailed, {"duration_ms": 3000, "error": {"kind": "x", "message": "y"}}),
        (60, e.RunRetried, {"by": "anna"}),
        started(61, 2),
        (62, e.RunCompleted, {"duration_ms": 1000}),
    )
    assert (life.duration_ms, life.interrupted) == (4000, True)


def test_a_run_that_is_cancelled_while_it_waits_has_executed_until_then() -> None:
    life = lived(started(0, 1), (2, e.RunSuspended, {"waits_for": "input"}), (900, e.RunCancelled, {}))
    assert life.duration_ms == 2000
    assert lived((5, e.RunCancelled, {})).duration_ms is None
