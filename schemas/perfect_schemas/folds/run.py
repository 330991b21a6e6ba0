"""The life of one run: `evolve(life, event, seq) -> life`.

Legality is the table `MOVES` (moves.py). An event that is not in the table for the current
state changes nothing: the guard on the run's subject keeps such events from being stored, and a fold never raises.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from perfect_schemas import events as e
from perfect_schemas.envelope import ErrorInfo, Event, StoredValue
from perfect_schemas.events.statistic import PerformanceWarned
from perfect_schemas.folds.moves import MOVES
from perfect_schemas.states import RunState as S

_PAUSING = "pausing-"


class RunLife(msgspec.Struct, frozen=True, kw_only=True):
    """All that the events of a run's own subject say. Times are UTC, durations ms.

    last_seq: sequence of the last event on the run's subject: what the next append to it expects.
    queued_seq: sequence of the last `run.queued`; names the hand-over.
    fork_of: of a fork, from its first event on; origin_run_id says the same once everything is taken over.
    from_key: the task that was to be the first to run again (fork, retry).
    scheduled_for: when it was to start at first; due_at: when it is to start next.
    duration_ms: how long it has executed, without the time in which it waited; of a final run. ran_ms: the same of the
    executions that have ended; executing_since: of the present one. interrupted: an execution was lost or failed and the
    run was tried again, so that its duration does not tell how long the flow takes.
    archived: it ended long ago, and its events may have left the bus: the read model has all of them. restored_at: when
    they were brought back, until they are archived again or the run is tried again.
    awaited: the distributed tasks that it waits for (PAUSED), which are one of its open waits.
    pausing_by: who wants it to pause (RUNNING), or has paused it (PAUSED); None again once it is resumed from that.
    """

    id: str
    flow_id: str
    flow_name: str
    state: S
    created_at: datetime
    last_seq: int
    flow_version: str | None = None
    origin: str = "api"
    name: str | None = None
    configuration: str = "development"
    parameters: dict[str, Any] = {}
    tags: list[str] = []
    queue: str = "default"
    priority: int = 0
    due_at: datetime | None = None
    scheduled_for: datetime | None = None
    queued_at: datetime | None = None
    queued_seq: int = 0
    start_time: datetime | None = None
    end_time: datetime | None = None
    duration_ms: int | None = None
    epoch: int = 0
    client_id: str | None = None
    client_name: str | None = None
    waits_for: str | None = None
    wait_key: str | None = None
    wake_at: datetime | None = None
    input_schema: dict[str, Any] | None = None
    beside: list[e.OpenWait] = []
    awaited: e.AwaitedTasks | None = None
    pausing_by: str | None = None
    tries: int = 0
    result: StoredValue | None = None
    error: ErrorInfo | None = None
    reason: str | None = None
    parent_run_id: str | None = None
    parent_task_key: str | None = None
    origin_run_id: str | None = None
    fork_of: str | None = None
    from_key: str | None = None
    schedule_id: str | None = None
    idempotency_key: str | None = None
    performance_warning: dict[str, str] | None = None
    archived: bool = False
    ran_ms: int = 0
    executing_since: datetime | None = None
    interrupted: bool = False
    deployment: str | None = None
    backfill: bool = False
    restored_at: datetime | None = None


_decode_life = msgspec.json.Decoder(RunLife).decode


def evolve(life: RunLife | None, event: Event, seq: int) -> RunLife | None:
    """The life after `event`, which stands at `seq` on the stream. Unknown and illegal events change nothing."""
    kind = type(event)
    if kind is PerformanceWarned and life is not None:
        return msgspec.structs.replace(life, performance_warning=warning_of(event))  # type: ignore[arg-type]
    state = MOVES[life.state if life else None].get(kind)
    if state is None:
        return life
    if kind is e.RunStarted and life is not None and (event.epoch or 0) <= life.epoch:
        return life
    return _APPLY[kind](life, event, state, seq)


def warning_of(event: PerformanceWarned) -> dict[str, str]:
    """As it is shown. Of a task that has not ended yet its type is `running_long`, see `folds.task`."""
    return {"type": "slow", "severity": event.severity, "message": event.message}


def pausing_key(epoch: int) -> str:
    """Of the wait of a run that was paused from outside: it takes no place in the flow, and an epoch has one at most."""
    return f"{_PAUSING}{epoch}"


def is_pausing_key(key: str | None) -> bool:
    return (key or "").startswith(_PAUSING)


def is_pausing(life: RunLife) -> bool:
    """It runs still, and is to stop at its next call of a task, a child flow or a wait."""
    return life.state is S.RUNNING and life.pausing_by is not None


def is_paused_from_outside(life: RunLife) -> bool:
    return life.state is S.PAUSED and is_pausing_key(life.wait_key)


def open_waits(life: RunLife | None) -> list[e.OpenWait]:
    """What a paused run waits for, the one that its `run.suspended` names first before the others."""
    if life is None or life.state is not S.PAUSED or life.waits_for is None:
        return []
    first = e.OpenWait(
        key=life.wait_key or "",
        waits_for=life.waits_for,  # type: ignore[arg-type]
        wake_at=life.wake_at,
        input_schema=life.input_schema,
    )
    return [first, *life.beside]


def is_legal(life: RunLife | None, kind: type[Event]) -> bool:
    return kind in MOVES[life.state if life else None]


def _scheduled(_: RunLife | None, event: e.RunScheduled, state: S, seq: int) -> RunLife:
    return RunLife(
        id=event.run_id or "",
        flow_id=event.flow_id,
        flow_name=event.flow_name,
        flow_version=event.flow_version,
        state=state,
        created_at=event.at,
        last_seq=seq,
        origin=event.origin,
        name=event.name,
        configuration=event.configuration,
        parameters=event.parameters,
        tags=event.tags,
        queue=event.queue,
        priority=event.priority,
        due_at=event.due_at,
        scheduled_for=event.due_at,
        parent_run_id=event.parent_run_id,
        parent_task_key=event.parent_task_key,
        schedule_id=event.schedule_id,
        deployment=event.deployment,
        backfill=event.backfill,
        idempotency_key=event.idempotency_key,
        fork_of=event.fork_of,
        from_key=event.from_key,
    )


def _queued(life: RunLife, event: e.RunQueued, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        queued_seq=seq,
        queued_at=event.at,
        queue=event.queue,
        priority=event.priority,
    )


def _started(life: RunLife, event: e.RunStarted, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        epoch=event.epoch or life.epoch + 1,
        client_id=event.client_id,
        client_name=event.client_name or life.client_name,
        flow_version=event.flow_version or life.flow_version,
        start_time=life.start_time or event.at,
        due_at=None,
        waits_for=None,
        wait_key=None,
        wake_at=None,
        input_schema=None,
        beside=[],
        awaited=None,
        ran_ms=executed_ms(life, event.at),
        executing_since=event.at,
        interrupted=life.interrupted or life.state is S.RUNNING,
    )


def executed_ms(life: RunLife, until: datetime) -> int:
    """How long it has executed up to `until`, all its executions together."""
    since = life.executing_since
    if since is None:
        return life.ran_ms
    return life.ran_ms + max(int((until - since).total_seconds() * 1000), 0)


def _suspended(life: RunLife, event: e.RunSuspended, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        client_id=None,
        waits_for=event.waits_for,
        wait_key=event.key,
        wake_at=event.wake_at,
        input_schema=event.input_schema,
        beside=event.beside,
        awaited=event.tasks,
        ran_ms=executed_ms(life, event.at),
        executing_since=None,
    )


def _retrying(life: RunLife, event: e.RunRetrying, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        tries=event.tries,
        due_at=event.due_at,
        error=event.error,
        client_id=None,
        ran_ms=executed_ms(life, event.at),
        executing_since=None,
        interrupted=True,
    )


def _lost(life: RunLife, event: e.RunLost, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        client_id=None,
        reason=event.reason,
        ran_ms=executed_ms(life, event.at),
        executing_since=None,
        interrupted=True,
    )


def _resumed(life: RunLife, event: e.RunResumed, state: S, seq: int) -> RunLife:
    is_it_over = is_paused_from_outside(life) and event.key in (None, life.wait_key)
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        waits_for=None,
        wait_key=None,
        wake_at=None,
        input_schema=None,
        beside=[],
        awaited=None,
        client_id=None,
        pausing_by=None if is_it_over else life.pausing_by,
    )


def _pausing(life: RunLife, event: e.RunPausing, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(life, state=state, last_seq=seq, pausing_by=event.by)


def _named(life: RunLife, event: e.RunNamed, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(life, state=state, last_seq=seq, name=event.name)


def _cancelling(life: RunLife, _: Event, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(life, state=state, last_seq=seq)


def _retried(life: RunLife, event: e.RunRetried, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        from_key=event.from_key,
        waits_for=None,
        wait_key=None,
        wake_at=None,
        input_schema=None,
        beside=[],
        awaited=None,
        error=None,
        reason=None,
        end_time=None,
        duration_ms=None,
        tries=0,
        client_id=None,
        pausing_by=None,
        archived=False,
        restored_at=None,
        executing_since=None,
        interrupted=True,
    )


def _forked(life: RunLife, event: e.RunForked, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(life, state=state, last_seq=seq, origin_run_id=event.origin_run_id)


def _completed(life: RunLife, event: e.RunCompleted, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        end_time=event.at,
        duration_ms=life.ran_ms + event.duration_ms,
        executing_since=None,
        result=event.result,
        error=None,
    )


def _failed(life: RunLife, event: e.RunFailed, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        end_time=event.at,
        duration_ms=life.ran_ms + event.duration_ms,
        ran_ms=life.ran_ms + event.duration_ms,
        executing_since=None,
        error=event.error,
    )


def _ended(life: RunLife, event: e.RunCancelled | e.RunCrashed, state: S, seq: int) -> RunLife:
    ran_ms = executed_ms(life, event.at)
    return msgspec.structs.replace(
        life,
        state=state,
        last_seq=seq,
        end_time=event.at,
        duration_ms=ran_ms if life.start_time else None,
        ran_ms=ran_ms,
        executing_since=None,
        reason=event.reason,
    )


def _archived(life: RunLife, _: Event, state: S, seq: int) -> RunLife:
    return msgspec.structs.replace(life, state=state, last_seq=seq, archived=True, restored_at=None)


def _restored(life: RunLife | None, event: e.RunRestored, _: S, seq: int) -> RunLife | None:
    """Who knows the run goes on with what it knows."""
    if life is None:
        try:
            life = _decode_life(event.life)
        except msgspec.DecodeError:
            return None
    return msgspec.structs.replace(life, last_seq=seq, archived=False, restored_at=event.at, client_id=None)


_APPLY: dict[type[Event], Callable[..., RunLife | None]] = {
    e.RunScheduled: _scheduled,
    e.RunQueued: _queued,
    e.RunStarted: _started,
    e.RunSuspended: _suspended,
    e.RunRetrying: _retrying,
    e.RunLost: _lost,
    e.RunNamed: _named,
    e.RunPausing: _pausing,
    e.RunResumed: _resumed,
    e.RunCancelling: _cancelling,
    e.RunRetried: _retried,
    e.RunForked: _forked,
    e.RunCompleted: _completed,
    e.RunFailed: _failed,
    e.RunCancelled: _ended,
    e.RunCrashed: _ended,
    e.RunArchived: _archived,
    e.RunRestored: _restored,
}
