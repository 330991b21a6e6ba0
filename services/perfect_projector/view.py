"""From rows to what people see, through the folds' own structs: one truth with everybody who folds the stream."""

from typing import Any

import msgspec

from perfect_projector import definition, run_row, task_row
from perfect_projector.forecast import curves_of, outlook_of
from perfect_projector.values import instant
from perfect_projector.welford import Summary
from perfect_schemas.envelope import utc_now
from perfect_schemas.views import (
    ClientView,
    EventView,
    FlowView,
    LogView,
    RecentRun,
    RunView,
    StatisticView,
    TaskRunView,
    level_name,
    run_view,
    task_run_view,
    with_outlook,
)

Row = tuple[Any, ...]


def run_of(row: Row) -> RunView:
    *columns, expected_ms, curves = row
    life, measured = run_row.life_of(tuple(columns))
    view = run_view(
        life,
        progress=measured.progress / 100,
        tasks_done=measured.tasks_done,
        tasks_total=measured.tasks_total,
        expected_ms=expected_ms,
    )
    outlook = outlook_of(life, measured.forecast, curves_of(curves)) if curves else None
    return with_outlook(view, outlook, utc_now())


def task_run_of(row: Row) -> TaskRunView:
    *columns, weight, expected_ms = row
    life, _, _ = task_row.life_of(tuple(columns))
    return task_run_view(life, weight=weight, expected_ms=expected_ms)


def log_of(row: Row) -> LogView:
    seq, n, ts, level, message, logger, task_run_id, task_key = row
    return LogView(
        seq=seq,
        n=n,
        at=instant(ts),  # type: ignore[arg-type]
        level=level_name(level),
        message=message,
        logger=logger,
        task_run_id=task_run_id,
        task_key=task_key,
    )


def event_of(row: Row) -> EventView:
    seq, payload = row
    return EventView(seq=seq, event=msgspec.Raw(payload.encode()))


def statistic_of(row: Row) -> StatisticView:
    key, flow_name, task_name, mean, m2, count, least, greatest, updated = row
    return StatisticView(
        id=key,
        flow_name=flow_name,
        task_name=task_name,
        avg_duration_ms=mean,
        m2=m2,
        std_dev_ms=Summary(count, mean, m2).std,
        sample_count=count,
        min_duration_ms=least,
        max_duration_ms=greatest,
        last_updated=instant(updated),  # type: ignore[arg-type]
    )


def flow_of(row: Row, recent: list[RecentRun], rules: list[str] | None = None) -> FlowView:
    """rules: of its schedules; None when none was ever kept: then what its registration says."""
    flow = definition.flow_of(row[:14])
    mean, m2, count, least, greatest, updated = row[14:]
    statistics = (
        None
        if count is None
        else statistic_of((flow.id, flow.name, None, mean, m2, count, least, greatest, updated))
    )
    return FlowView(
        id=flow.id,
        name=flow.name,
        description=flow.description,
        tags=flow.tags,
        version=flow.version,
        tasks=flow.tasks,
        parameters=flow.parameters,
        schedules=rules if rules is not None else [flow.schedule] if flow.schedule else [],
        hidden=flow.hidden,
        statistics=statistics,
        recent=recent,
        deployments=list(flow.deployments.values()),
    )


def client_of(row: Row) -> ClientView:
    key, name, host, pid, slots, flows, state, connected_at, last_seen = row
    return ClientView(
        id=key,
        name=name,
        host=host,
        pid=pid,
        slots=slots,
        flows=flows,
        state=state,
        connected_at=instant(connected_at),  # type: ignore[arg-type]
        last_seen=instant(last_seen),
    )
