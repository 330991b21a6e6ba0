"""A task run as a row of `task_runs`, and back: `life_of(row_of(life)) == life`.

The tuple has the order of the columns in `insert_task_runs`.
"""

from datetime import datetime
from typing import Any

import msgspec

from perfect_projector.values import instant, text, text_or_none, utc
from perfect_schemas.envelope import ErrorInfo, StoredValue
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import TaskState

Row = tuple[Any, ...]
_NO_DETAILS = "{}"
_DONE = frozenset({TaskState.COMPLETED, TaskState.CACHED, TaskState.SKIPPED})


class Details(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a TaskLife says beyond the columns."""

    ordinal: int = 0
    input_digest: str | None = None
    next_at: datetime | None = None
    origin_run_id: str | None = None
    dispatch_id: str | None = None
    reason: str | None = None
    client_id: str | None = None
    losses: int = 0
    queue: str | None = None
    queued_seq: int = 0
    run_name: str | None = None
    state_name: str | None = None
    state_message: str | None = None
    tags: list[str] = []
    after: list[str] = []


_decode_details = msgspec.json.Decoder(Details).decode
_decode_error = msgspec.json.Decoder(ErrorInfo).decode
_decode_value = msgspec.json.Decoder(StoredValue).decode
_decode_warning = msgspec.json.Decoder(dict[str, str]).decode


def row_of(run_id: str, life: TaskLife, counted: bool, first_seq: int) -> Row:
    return (
        life.id,
        run_id,
        life.task_id,
        life.key,
        life.name,
        life.state.value,
        100.0 if life.state in _DONE else 0.0,
        utc(life.start_time),
        utc(life.end_time),
        life.duration_ms,
        life.attempt,
        life.epoch,
        text_or_none(life.error),
        text_or_none(life.result),
        text_or_none(life.performance_warning),
        text(
            Details(
                life.ordinal,
                life.input_digest,
                life.next_at,
                life.origin_run_id,
                life.dispatch_id,
                life.reason,
                life.client_id,
                life.losses,
                life.queue,
                life.queued_seq,
                life.run_name,
                life.state_name,
                life.state_message,
                life.tags,
                life.after,
            )
        ),
        counted,
        first_seq,
        life.last_seq,
    )


def life_of(row: Row) -> tuple[TaskLife, bool, int]:
    """The life, whether it has entered the statistics, and the sequence of its first event."""
    (
        task_run_id,
        run_id,
        task_id,
        key,
        name,
        state,
        _progress,
        start_time,
        end_time,
        duration_ms,
        attempt,
        epoch,
        error,
        result,
        performance_warning,
        details,
        counted,
        first_seq,
        last_seq,
    ) = row
    rest = _decode_details(details) if details != _NO_DETAILS else Details()
    life = TaskLife(
        id=task_run_id,
        run_id=run_id,
        task_id=task_id,
        key=key,
        name=name,
        state=TaskState(state),
        start_time=instant(start_time),
        end_time=instant(end_time),
        duration_ms=duration_ms,
        attempt=attempt,
        epoch=epoch,
        error=_decode_error(error) if error else None,
        result=_decode_value(result) if result else None,
        performance_warning=_decode_warning(performance_warning) if performance_warning else None,
        last_seq=last_seq,
        ordinal=rest.ordinal,
        input_digest=rest.input_digest,
        next_at=rest.next_at,
        origin_run_id=rest.origin_run_id,
        dispatch_id=rest.dispatch_id,
        reason=rest.reason,
        client_id=rest.client_id,
        losses=rest.losses,
        queue=rest.queue,
        queued_seq=rest.queued_seq,
        run_name=rest.run_name,
        state_name=rest.state_name,
        state_message=rest.state_message,
        tags=rest.tags,
        after=rest.after,
    )
    return life, counted, first_seq
