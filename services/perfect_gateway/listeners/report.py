"""What a listener's report of a run's end leads to: pure."""

from datetime import datetime

import msgspec

from perfect_schemas.envelope import ErrorInfo, Event, StoredValue
from perfect_schemas.errors import Conflicting, NotFound
from perfect_schemas.events import RunCancelled, RunCompleted, RunFailed
from perfect_schemas.folds import run as fold
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """client_id, epoch: the claim under which the run was executed. error: set when it failed."""

    run_id: str
    client_id: str
    epoch: int
    result: StoredValue | None = None
    error: ErrorInfo | None = None

    @property
    def source(self) -> str:
        return source_of(self.client_id)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A run's life, and who said the last event that changed it."""

    life: RunLife
    source: str


def source_of(client_id: str) -> str:
    """The same form as a worker's."""
    return f"worker:{client_id}"


def evolve(told: Told | None, event: Event, seq: int) -> Told | None:
    before = told.life if told else None
    after = fold.evolve(before, event, seq)
    if after is before or after is None:
        return told
    return Told(life=after, source=event.source)


def decide(
    told: Told | None, report: Report, *, event_id: str, now: datetime
) -> tuple[RunCompleted | RunFailed | RunCancelled, ...]:
    """Nothing when this listener ended the run before: a repeated report. A run that is being cancelled ends CANCELLED
    whatever was reported. Raises NotFound, and Conflicting for a run that the listener does not hold.
    """
    if told is None:
        raise NotFound(f"there is no run {report.run_id!r}")
    life = told.life
    is_claim = life.epoch == report.epoch and life.client_id == report.client_id
    if is_claim and life.state.is_final and told.source == report.source:
        return ()
    if not is_claim or life.state not in (RunState.RUNNING, RunState.CANCELLING):
        raise Conflicting(_refusal(life, report))
    envelope = {
        "id": event_id,
        "at": now,
        "source": report.source,
        "run_id": report.run_id,
        "epoch": report.epoch,
    }
    duration_ms = max(int((now - (life.start_time or now)).total_seconds() * 1000), 0)
    if life.state is RunState.CANCELLING:
        return (RunCancelled(**envelope, reason="its listener ended it"),)
    if report.error is not None:
        return (RunFailed(**envelope, duration_ms=duration_ms, error=report.error),)
    return (RunCompleted(**envelope, duration_ms=duration_ms, result=report.result),)


def _refusal(life: RunLife, report: Report) -> str:
    if life.state.is_final:
        how = f"it has ended already ({life.state})"
    elif life.state is RunState.RUNNING:
        who = f"{life.client_name or life.client_id} executes it" if life.client_id else "it runs elsewhere"
        how = f"{who}, epoch {life.epoch}"
    else:
        how = f"it is {life.state} and will be executed again"
    return f"this listener does not hold run {report.run_id} in epoch {report.epoch} (any more): {how}"
