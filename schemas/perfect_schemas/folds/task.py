"""The life of one task of a run: `evolve(life, event, seq) -> life`.

One task run per (run, task key); its id stays when the run is resumed. The first final event of a key wins, until
the task begins again in a later epoch (no result was kept, or a person retries the run).
Whether an event's epoch still counts is judged by `folds.history`, which sees the run's claims too.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from perfect_schemas import events as e
from perfect_schemas.envelope import ErrorInfo, Event, StoredValue
from perfect_schemas.events.statistic import PerformanceRunningLong, PerformanceWarned
from perfect_schemas.folds.run import warning_of
from perfect_schemas.states import FINAL_TASK_STATES
from perfect_schemas.states import TaskState as S

STATE_AFTER: dict[type[Event], S] = {
    e.TaskQueued: S.PENDING,
    e.TaskStarted: S.RUNNING,
    e.TaskRetrying: S.RETRYING,
    e.TaskCompleted: S.COMPLETED,
    e.TaskCached: S.CACHED,
    e.TaskFailed: S.FAILED,
    e.TaskSkipped: S.SKIPPED,
    e.TaskAdopted: S.COMPLETED,
}


RUNNING_LONG = "running_long"
BEGINS = frozenset({e.TaskQueued, e.TaskStarted, e.TaskCached, e.TaskSkipped})
"""The events with which a task can begin; after its end they begin it again, in a later epoch only."""


class TaskLife(msgspec.Struct, frozen=True, kw_only=True):
    """All that the events of one task key say. Times are UTC, durations ms. epoch: 0 for one adopted by a fork.

    dispatch_id: of a distributed task: its last dispatch. client_id: who has taken that, None as long as nobody has.
    losses: how many dispatches were lost with their workers. queue: whose workers may take it. queued_seq: where its
    first dispatch stands on EVENTS, 0 for a task that is not distributed. run_name: what people call it. state_name,
    state_message: of a completed one that returned a state with a name of its own. after: keys of the tasks that its
    inputs came from.
    """

    id: str
    run_id: str
    key: str
    task_id: str
    name: str
    state: S
    last_seq: int
    ordinal: int = 0
    input_digest: str | None = None
    attempt: int = 1
    epoch: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    duration_ms: int | None = None
    next_at: datetime | None = None
    result: StoredValue | None = None
    error: ErrorInfo | None = None
    origin_run_id: str | None = None
    dispatch_id: str | None = None
    client_id: str | None = None
    losses: int = 0
    queue: str | None = None
    queued_seq: int = 0
    reason: str | None = None
    performance_warning: dict[str, str] | None = None
    run_name: str | None = None
    state_name: str | None = None
    state_message: str | None = None
    tags: list[str] = []
    after: list[str] = []


def evolve(life: TaskLife | None, event: Event, seq: int) -> TaskLife | None:
    kind = type(event)
    if kind is PerformanceWarned:
        return msgspec.structs.replace(life, performance_warning=warning_of(event)) if life else None  # type: ignore[arg-type]
    if kind is PerformanceRunningLong:
        return _running_long(life, event)  # type: ignore[arg-type]
    apply = _APPLY.get(kind)
    if apply is None:
        return life
    if life is None:
        life = _new(event, STATE_AFTER[kind], seq)  # type: ignore[arg-type]
    elif life.state in FINAL_TASK_STATES:
        if kind not in BEGINS or (event.epoch or 0) <= life.epoch:
            return life
        life = _again(life)
    return apply(life, event, STATE_AFTER[kind], seq)


def _running_long(life: TaskLife | None, event: PerformanceRunningLong) -> TaskLife | None:
    """What is said of another try, or of one that is over, changes nothing."""
    if (
        life is None
        or life.state is not S.RUNNING
        or (event.epoch, event.attempt) != (life.epoch, life.attempt)
    ):
        return life
    warning = {"type": RUNNING_LONG, "severity": event.severity, "message": event.message}
    return msgspec.structs.replace(life, performance_warning=warning)


def _settled(life: TaskLife) -> dict[str, str] | None:
    """The warning of a task that no longer runs, or runs anew: that it was running long is over."""
    warning = life.performance_warning
    return None if warning is None or warning["type"] == RUNNING_LONG else warning


def _new(event: e.TaskStarted, state: S, seq: int) -> TaskLife:
    return TaskLife(
        id=event.task_run_id,
        run_id=event.run_id or "",
        key=event.task_key,
        task_id=event.task_id,
        name=event.name,
        state=state,
        last_seq=seq,
        ordinal=event.ordinal,
        input_digest=event.input_digest,
        attempt=event.attempt or 1,
        epoch=event.epoch or 0,
        tags=event.tags,
        after=event.after,
    )


def _again(life: TaskLife) -> TaskLife:
    return msgspec.structs.replace(
        life,
        start_time=None,
        end_time=None,
        duration_ms=None,
        next_at=None,
        result=None,
        error=None,
        reason=None,
        origin_run_id=None,
        dispatch_id=None,
        client_id=None,
        losses=0,
        queue=None,
        queued_seq=0,
        performance_warning=None,
        run_name=None,
        state_name=None,
        state_message=None,
        after=[],
    )


def _queued(life: TaskLife, event: e.TaskQueued, state: S, seq: int) -> TaskLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        performance_warning=_settled(life),
        attempt=event.attempt or life.attempt,
        epoch=event.epoch or life.epoch,
        input_digest=event.input_digest,
        dispatch_id=event.dispatch_id,
        client_id=None,
        losses=event.losses,
        queue=event.queue,
        tags=event.tags or life.tags,
        after=event.after or life.after,
        queued_seq=life.queued_seq if event.replaces is not None else seq,
        run_name=event.run_name or life.run_name,
    )


def _started(life: TaskLife, event: e.TaskStarted, state: S, seq: int) -> TaskLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        performance_warning=_settled(life),
        attempt=event.attempt or 1,
        epoch=event.epoch or life.epoch,
        start_time=event.at,
        end_time=None,
        duration_ms=None,
        next_at=None,
        error=None,
        result=None,
        input_digest=event.input_digest,
        tags=event.tags or life.tags,
        after=event.after or life.after,
        dispatch_id=event.dispatch_id,
        client_id=event.client_id if event.dispatch_id is not None else None,
        run_name=event.run_name or life.run_name,
    )


def _retrying(life: TaskLife, event: e.TaskRetrying, state: S, seq: int) -> TaskLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        performance_warning=_settled(life),
        attempt=event.attempt or life.attempt,
        next_at=event.next_at,
        error=event.error,
    )


def _completed(life: TaskLife, event: e.TaskCompleted, state: S, seq: int) -> TaskLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        performance_warning=_settled(life),
        attempt=event.attempt or life.attempt,
        epoch=event.epoch or life.epoch,
        end_time=event.at,
        duration_ms=event.duration_ms,
        result=event.result,
        error=None,
        next_at=None,
        state_name=event.state_name,
        state_message=event.state_message,
    )


def _failed(life: TaskLife, event: e.TaskFailed, state: S, seq: int) -> TaskLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        performance_warning=_settled(life),
        attempt=event.attempt or life.attempt,
        epoch=event.epoch or life.epoch,
        end_time=event.at,
        duration_ms=event.duration_ms,
        error=event.error,
        next_at=None,
    )


def _skipped(life: TaskLife, event: e.TaskSkipped, state: S, seq: int) -> TaskLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        performance_warning=_settled(life),
        epoch=event.epoch or life.epoch,
        end_time=event.at,
        reason=event.reason,
        after=event.after or life.after,
    )


def _cached(life: TaskLife, event: e.TaskCached, state: S, seq: int) -> TaskLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        performance_warning=_settled(life),
        epoch=event.epoch or life.epoch,
        end_time=event.at,
        result=event.result,
        run_name=event.run_name or life.run_name,
        after=event.after or life.after,
    )


def _adopted(life: TaskLife, event: e.TaskAdopted, _: S, seq: int) -> TaskLife:
    return msgspec.structs.replace(
        life,
        state=S(event.outcome),
        last_seq=seq,
        performance_warning=_settled(life),
        end_time=event.at,
        result=event.result,
        error=event.error,
        reason=event.reason,
        origin_run_id=event.origin_run_id,
        run_name=event.run_name or life.run_name,
        state_name=event.state_name or life.state_name,
        state_message=event.state_message or life.state_message,
        after=event.after or life.after,
    )


_APPLY: dict[type[Event], Callable[..., TaskLife]] = {
    e.TaskQueued: _queued,
    e.TaskStarted: _started,
    e.TaskRetrying: _retrying,
    e.TaskCompleted: _completed,
    e.TaskCached: _cached,
    e.TaskFailed: _failed,
    e.TaskSkipped: _skipped,
    e.TaskAdopted: _adopted,
}
