"""What charts are drawn from, asked of the file: lists side by side, of a bounded number of points."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from perfect_projector import view
from perfect_projector.histogram import bars
from perfect_projector.merged_roll import MergedRolls
from perfect_projector.sql import select
from perfect_projector.statistic_replies import MOST_DAYS, statistics
from perfect_schemas import charts as c
from perfect_schemas import queries as q
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import NotFound
from perfect_schemas.ids import is_id

Cursor = Any
MOST_RUNS = 1000
MOST_TASKS = 12


def flow_history(cursor: Cursor, query: c.FlowHistory) -> c.FlowHistoryView:
    where = {"id": {"flow_id": query.flow}} if is_id(query.flow) else {"name": {"flow_name": query.flow}}
    known = select(cursor, "chart_flow", where)
    if not known:
        raise NotFound(f"there is no flow {query.flow!r}: register it by starting a worker that has it")
    flow_id, name = known[0]
    runs = select(cursor, "chart_runs", flow_id=flow_id, limit=_within(query.runs, MOST_RUNS))[::-1]
    statistic = next(
        iter(
            view.statistic_of(row)
            for row in select(cursor, "flow_statistics", {"flow_id": {"flow_id": flow_id}})
        ),
        None,
    )
    ids, at, durations, states, versions, severities = _columns(runs, 6)
    days = select(cursor, "chart_outcomes", flow_id=flow_id, since=_since(query.days))
    day, completed, failed, cancelled = _columns(days, 4)
    return c.FlowHistoryView(
        flow_id=flow_id,
        flow_name=name,
        avg_duration_ms=statistic.avg_duration_ms if statistic else None,
        std_dev_ms=statistic.std_dev_ms if statistic else None,
        sample_count=statistic.sample_count if statistic else 0,
        runs=c.RunPoints(
            id=ids,
            at=at,
            duration_ms=durations,
            state=states,
            flow_version=versions,
            severity=severities,
        ),
        tasks=_tasks(cursor, ids),
        outcomes=c.OutcomePoints(day=day, completed=completed, failed=failed, cancelled=cancelled),
    )


def _tasks(cursor: Cursor, run_ids: list[str]) -> list[c.TaskPoints]:
    if not run_ids:
        return []
    names: dict[str, str] = {}
    points: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for task_id, name, run_id, duration in select(cursor, "chart_tasks", run_ids=run_ids):
        names[task_id] = name
        points[task_id][run_id] = duration
    total = {task_id: sum(of_task.values()) for task_id, of_task in points.items()}
    return [
        c.TaskPoints(id=one, name=names[one], duration_ms=[points[one].get(run_id) for run_id in run_ids])
        for one in sorted(names, key=lambda one: (-total[one], names[one]))[:MOST_TASKS]
    ]


def task_history(cursor: Cursor, query: c.TaskHistory, rolls: MergedRolls | None = None) -> c.TaskHistoryView:
    """rolls: what is kept from one query to the next."""
    rolls = rolls or MergedRolls()
    known = select(cursor, "chart_task", task_id=query.task) if is_id(query.task) else []
    if not known:
        raise NotFound(f"there is no task {query.task!r}, or it never ran to completion")
    task_id, name, flow_id, flow_name = known[0]
    days = _within(query.days, MOST_DAYS)
    narrow = {"flow": flow_id, "task": task_id}
    (statistic,) = statistics(cursor, q.Statistics(**narrow, days=days), rolls).tasks
    versions = statistics(cursor, q.Statistics(**narrow, by="flow_version", days=MOST_DAYS), rolls).tasks
    today = utc_now().date()
    where = {"task": {"task": task_id}, "run": {}}
    roll = rolls.all(cursor, where, today - timedelta(days=days - 1), today).get((task_id, "run", ""))
    rows = select(cursor, "chart_completions", task_id=task_id, limit=_within(query.runs, MOST_RUNS))[::-1]
    run_ids, at, durations, severities = _columns(rows, 4)
    return c.TaskHistoryView(
        task_id=task_id,
        task_name=name,
        flow_id=flow_id,
        flow_name=flow_name,
        statistic=statistic,
        versions=sorted(versions, key=lambda one: one.last_updated, reverse=True),
        histogram=bars(roll.buckets) if roll else [],
        completions=c.CompletionPoints(run_id=run_ids, at=at, duration_ms=durations, severity=severities),
    )


def _columns(rows: list[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _within(value: int, most: int) -> int:
    return min(max(value, 1), most)


def _since(days: int) -> datetime:
    """The beginning of the first of so many days (UTC), today among them, as the file has times."""
    first = utc_now().date() - timedelta(days=_within(days, MOST_DAYS) - 1)
    return datetime.combine(first, datetime.min.time(), UTC).replace(tzinfo=None)
