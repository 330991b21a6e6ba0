"""A run as a row of `runs`, and back: `life_of(row_of(life)) == life`.

The tuple has the order of the columns in `insert_runs`.
"""

from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec

from perfect_projector.values import instant, text, text_or_none, utc
from perfect_schemas.envelope import ErrorInfo, StoredValue
from perfect_schemas.events import AwaitedTasks, OpenWait
from perfect_schemas.folds.run import RunLife
from perfect_schemas.ids import is_id
from perfect_schemas.states import RunState
from perfect_schemas.views import queued_ms

Row = tuple[Any, ...]
_NO_PARAMETERS = "{}"


class Details(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a RunLife says beyond the columns."""

    queue: str = "default"
    priority: int = 0
    due_at: datetime | None = None
    scheduled_for: datetime | None = None
    queued_at: datetime | None = None
    queued_seq: int = 0
    client_id: str | None = None
    waits_for: str | None = None
    wait_key: str | None = None
    wake_at: datetime | None = None
    input_schema: dict[str, Any] | None = None
    beside: list[OpenWait] = []
    awaited: AwaitedTasks | None = None
    pausing_by: str | None = None
    ran_ms: int = 0
    executing_since: datetime | None = None
    interrupted: bool = False
    tries: int = 0
    reason: str | None = None
    parent_run_id: str | None = None
    parent_task_key: str | None = None
    origin_run_id: str | None = None
    fork_of: str | None = None
    from_key: str | None = None
    schedule_id: str | None = None
    idempotency_key: str | None = None
    archived: bool = False
    deployment: str | None = None
    backfill: bool = False
    restored_at: datetime | None = None


class Measured(msgspec.Struct, kw_only=True):
    """What is kept of a run beside its life. progress: 0–100. plan: JSON, None for a final run.
    forecast: JSON, see `forecast.Forecast`.
    """

    progress: float = 0.0
    launch_ms: int | None = None
    tasks_done: int = 0
    tasks_total: int = 0
    plan: str | None = None
    forecast: str | None = None


_DETAILS = Details.__struct_fields__
_details_of = attrgetter(*_DETAILS)
_decode_details = msgspec.json.Decoder(Details).decode
_decode_error = msgspec.json.Decoder(ErrorInfo).decode
_decode_value = msgspec.json.Decoder(StoredValue).decode
_decode_warning = msgspec.json.Decoder(dict[str, str]).decode
_decode_parameters = msgspec.json.Decoder(dict[str, Any]).decode


def row_of(run_id: str, life: RunLife, measured: Measured) -> Row:
    return (
        run_id,
        life.flow_id,
        life.flow_name,
        life.flow_version,
        life.name,
        life.state.value,
        measured.progress,
        utc(life.created_at),
        utc(life.start_time),
        utc(life.end_time),
        life.duration_ms,
        queued_ms(life),
        measured.launch_ms,
        life.configuration,
        text(life.parameters) if life.parameters else _NO_PARAMETERS,
        life.tags,
        life.client_name,
        life.epoch,
        life.origin,
        life.parent_run_id if life.parent_run_id and is_id(life.parent_run_id) else None,
        text_or_none(life.error),
        text_or_none(life.result),
        text_or_none(life.performance_warning),
        measured.tasks_done,
        measured.tasks_total,
        text(Details(**dict(zip(_DETAILS, _details_of(life), strict=True)))),
        measured.plan,
        life.last_seq,
        measured.forecast,
    )


def life_of(row: Row) -> tuple[RunLife, Measured]:
    (
        run_id,
        flow_id,
        flow_name,
        flow_version,
        name,
        state,
        progress,
        created_at,
        start_time,
        end_time,
        duration_ms,
        _queued_ms,
        launch_ms,
        configuration,
        parameters,
        tags,
        client_name,
        epoch,
        origin,
        _parent_run_id,
        error,
        result,
        performance_warning,
        tasks_done,
        tasks_total,
        details,
        plan,
        last_seq,
        forecast,
    ) = row
    rest = _decode_details(details)
    life = RunLife(
        id=run_id,
        flow_id=flow_id,
        flow_name=flow_name,
        flow_version=flow_version,
        name=name,
        state=RunState(state),
        created_at=instant(created_at),  # type: ignore[arg-type]
        start_time=instant(start_time),
        end_time=instant(end_time),
        duration_ms=duration_ms,
        configuration=configuration,
        parameters=_decode_parameters(parameters) if parameters != _NO_PARAMETERS else {},
        tags=tags,
        client_name=client_name,
        epoch=epoch,
        origin=origin,
        error=_decode_error(error) if error else None,
        result=_decode_value(result) if result else None,
        performance_warning=_decode_warning(performance_warning) if performance_warning else None,
        last_seq=last_seq,
        **{field: getattr(rest, field) for field in _DETAILS},
    )
    return life, Measured(
        progress=progress,
        launch_ms=launch_ms,
        tasks_done=tasks_done,
        tasks_total=tasks_total,
        plan=plan,
        forecast=forecast,
    )
