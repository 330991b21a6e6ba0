"""The read side: one function a query, over a cursor on which a read-only transaction is open.

Each function takes the cursor and the query and returns what `perfect_schemas.queries` says. The offsets are read in
the same transaction, so an answer is exactly as of its `seq`.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from perfect_projector import artifact_row, run_parts, schedule_row, view
from perfect_projector import cursor as page_cursor
from perfect_projector.chart_replies import flow_history, task_history
from perfect_projector.drawn_replies import run_moment, task_columns, task_groups
from perfect_projector.flow_shelf import FlowShelf
from perfect_projector.merged_roll import MergedRolls
from perfect_projector.run_counts import RunCounts
from perfect_projector.run_replies import runs, with_history
from perfect_projector.shown_runs import ShownRuns
from perfect_projector.sql import select
from perfect_projector.statistic_replies import MOST_DAYS, statistics
from perfect_projector.values import timestamp
from perfect_schemas import charts, drawn
from perfect_schemas import queries as q
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import NotFound
from perfect_schemas.ids import is_id
from perfect_schemas.views import (
    ClientView,
    FlowView,
    RunView,
    SummaryView,
    with_queues,
)

Cursor = Any
MAX_LINES = 10_000
MAX_LOG_TASKS = 300
MAX_DECISIONS = 1000
MAX_ARTIFACTS = 200  # each may be as large as a value in an event


def offsets(cursor: Cursor) -> dict[str, int]:
    return dict(select(cursor, "offsets"))  # type: ignore[arg-type]


def run(cursor: Cursor, query: q.RunDetail) -> RunView:
    _check_run_id(query.run_id)
    rows = select(cursor, "run", run_id=query.run_id)
    if not rows:
        raise _no_run(query.run_id)
    (row,) = with_history(cursor, rows)
    found = view.run_of(row)
    if found.state not in ("RUNNING", "PAUSED"):
        return found
    return with_queues(found, [name for (name,) in select(cursor, "untaken_queues", run_id=query.run_id)])


def task_runs(cursor: Cursor, query: q.TaskRunPage) -> q.TaskRuns:
    _check_run_id(query.run_id)
    limit = _clamp(query.limit, MAX_LINES)
    after = page_cursor.decode(query.cursor, tuple[int])[0] if query.cursor else 0
    rows = run_parts.task_runs(cursor, query.run_id, after, limit + 1)
    if not rows:
        _check_run(cursor, query.run_id)
    more = page_cursor.encode(rows[limit - 1][17]) if len(rows) > limit else None
    shown = run_parts.with_plans(cursor, rows[:limit])
    return q.TaskRuns(task_runs=[view.task_run_of(row) for row in shown], next=more)


def logs(cursor: Cursor, query: q.LogPage) -> q.Logs:
    _check_run_id(query.run_id)
    where: dict[str, Any] = {"run_id": {"run_id": query.run_id}}
    if query.level > 0:
        where["level"] = {"level": query.level}
    if query.text:
        where["text"] = {"text": query.text}
    if query.task_run_id is not None:
        if not is_id(query.task_run_id):
            raise NotFound(f"there is no task run {query.task_run_id!r}")
        where["task_run_id"] = {"task_run_id": query.task_run_id}
    if query.task:
        where["task"] = {"task": query.task}
    if query.cursor is not None or query.beyond is not None:
        seq, n = query.beyond or page_cursor.decode(query.cursor or "", tuple[int, int])
        where["before" if query.tail else "after"] = {"seq": seq, "n": n}
    limit = _clamp(query.limit, MAX_LINES)
    rows = run_parts.logs(cursor, where, limit + 1, tail=query.tail)
    more = page_cursor.encode(rows[limit - 1][0], rows[limit - 1][1]) if len(rows) > limit else None
    rows = rows[:limit]
    if query.tail:
        rows.reverse()
    if not rows and query.cursor is None:
        _check_run(cursor, query.run_id)
    keys = select(cursor, "log_tasks", run_id=query.run_id, limit=MAX_LOG_TASKS) if query.tasks else None
    return q.Logs(
        logs=[view.log_of(row) for row in rows],
        seq=offsets(cursor).get("LOGS", 0),
        next=more,
        total=select(cursor, "log_count", run_id=query.run_id)[0][0] if query.count else None,
        tasks=None if keys is None else [key for (key,) in keys],
    )


def whole_run(cursor: Cursor, query: q.WholeRun) -> q.RunWhole:
    run_id = query.run_id
    return q.RunWhole(
        run=run(cursor, q.RunDetail(run_id=run_id)),
        task_runs=task_runs(cursor, q.TaskRunPage(run_id=run_id, limit=query.tasks)),
        logs=logs(cursor, q.LogPage(run_id=run_id, limit=query.lines, tail=True)),
        artifacts=_artifacts(cursor, q.ArtifactPage(run_id=run_id, limit=query.artifacts)),
    )


def events(cursor: Cursor, query: q.EventPage) -> q.Events:
    after = page_cursor.decode(query.cursor, tuple[int])[0] if query.cursor else 0
    where: dict[str, Any] = {"stream": {"after": after}}
    if query.run_id is not None:
        _check_run(cursor, query.run_id)
        where["run_id"] = {"run_id": query.run_id}
    if query.kind:
        where["kind"] = {"kind": query.kind}
    limit = _clamp(query.limit, MAX_LINES)
    rows = select(cursor, "events", where, limit=limit + 1)
    more = page_cursor.encode(rows[limit - 1][0]) if len(rows) > limit else None
    return q.Events(events=[view.event_of(row) for row in rows[:limit]], next=more)


def artifacts(cursor: Cursor, query: q.ArtifactPage) -> q.Artifacts:
    if query.run_id is not None:
        _check_run(cursor, query.run_id)
    return _artifacts(cursor, query)


def _artifacts(cursor: Cursor, query: q.ArtifactPage) -> q.Artifacts:
    where: dict[str, Any] = {}
    if query.run_id is not None:
        where["run_id"] = {"run_id": query.run_id}
    if query.id is not None:
        where["id"] = {"id": query.id}
    if query.key is not None:
        where["key"] = {"key": query.key}
    of_run = query.run_id is not None
    if query.cursor is not None:
        name = "after" if of_run else "before"
        where[name] = {name: page_cursor.decode(query.cursor, tuple[int])[0]}
    limit = _clamp(query.limit, MAX_ARTIFACTS)
    order = "first_seq" if of_run else "last_seq DESC"
    rows = select(cursor, "artifacts", where, _order=order, limit=limit + 1)
    more = page_cursor.encode(rows[limit - 1][13 if of_run else 14]) if len(rows) > limit else None
    return q.Artifacts(artifacts=[artifact_row.view_of(row) for row in rows[:limit]], next=more)


def schedule_decisions(cursor: Cursor, query: q.ScheduleDecisionPage) -> q.ScheduleDecisions:
    if query.last:
        found = [schedule_row.decision_view(row) for row in select(cursor, "last_schedule_decisions")]
        return q.ScheduleDecisions(decisions=found)
    where: dict[str, Any] = {
        name: {name: value}
        for name, value in (
            ("schedule_id", query.schedule_id),
            ("flow", query.flow),
            ("decision", query.decision or None),
            ("since", timestamp(query.since)),
            ("until", timestamp(query.until)),
        )
        if value is not None
    }
    if query.late_ms is not None:
        where["late"] = {"late_ms": query.late_ms}
    if query.cursor is not None:
        where["before"] = {"before": page_cursor.decode(query.cursor, tuple[int])[0]}
    limit = _clamp(query.limit, MAX_DECISIONS)
    rows = select(cursor, "schedule_decisions", where, limit=limit + 1)
    more = page_cursor.encode(rows[limit - 1][14]) if len(rows) > limit else None
    return q.ScheduleDecisions(decisions=[schedule_row.decision_view(row) for row in rows[:limit]], next=more)


def flows(cursor: Cursor, query: q.FlowList) -> list[FlowView]:
    return FlowShelf.load(cursor).flows(hidden=query.hidden)


def flow(cursor: Cursor, query: q.FlowDetail) -> FlowView:
    return with_statistics(cursor, detailed(FlowShelf.load(cursor), query))


def detailed(shelf: FlowShelf, query: q.FlowDetail | q.WholeFlow) -> FlowView:
    """Raises NotFound."""
    found = shelf.flow(query.flow)
    if found is None:
        raise NotFound(f"there is no flow {query.flow!r}: register it by starting a worker that has it")
    return shelf.detailed(found)


def whole_flow(
    cursor: Cursor,
    query: q.WholeFlow,
    flow: FlowView | None = None,
    shown: ShownRuns | None = None,
    rolls: MergedRolls | None = None,
) -> Any:
    """flow: without its statistics, as it is known. shown, rolls: what is kept from one query to the next."""
    if flow is None:
        flow = detailed(FlowShelf.load(cursor), query)
    wanted = q.RunPage(flow=flow.id, limit=query.runs)
    found = statistics(cursor, q.Statistics(flow=flow.id), rolls)
    by_version = q.Statistics(flow=flow.id, by="flow_version", of="flows", days=MOST_DAYS)
    return {
        "flow": msgspec.structs.replace(flow, statistics=next(iter(found.flows), None)),
        "runs": runs(cursor, wanted) if shown is None else shown.page(cursor, wanted),
        "tasks": found.tasks,
        "versions": statistics(cursor, by_version, rolls).flows,
    }


def with_statistics(cursor: Cursor, flow: FlowView, rolls: MergedRolls | None = None) -> FlowView:
    found = statistics(cursor, q.Statistics(flow=flow.id), rolls).flows
    return msgspec.structs.replace(flow, statistics=next(iter(found), None))


def clients(cursor: Cursor, _: q.ClientList) -> list[ClientView]:
    return [view.client_of(row) for row in select(cursor, "clients")]


def summary(cursor: Cursor, _: q.Summary) -> SummaryView:
    return RunCounts.load(cursor).summary(utc_now())


REPLIES: dict[str, tuple[type, Callable[[Cursor, Any], Any]]] = {
    "runs": (q.RunPage, runs),
    "whole_run": (q.WholeRun, whole_run),
    "whole_flow": (q.WholeFlow, whole_flow),
    "run": (q.RunDetail, run),
    "task_runs": (q.TaskRunPage, task_runs),
    "task_columns": (drawn.TaskColumns, task_columns),
    "task_groups": (drawn.TaskGroups, task_groups),
    "run_moment": (drawn.RunMoment, run_moment),
    "logs": (q.LogPage, logs),
    "events": (q.EventPage, events),
    "artifacts": (q.ArtifactPage, artifacts),
    "schedule_decisions": (q.ScheduleDecisionPage, schedule_decisions),
    "flows": (q.FlowList, flows),
    "flow": (q.FlowDetail, flow),
    "statistics": (q.Statistics, statistics),
    "flow_history": (charts.FlowHistory, flow_history),
    "task_history": (charts.TaskHistory, task_history),
    "clients": (q.ClientList, clients),
    "summary": (q.Summary, summary),
}


def _clamp(limit: int, most: int) -> int:
    return min(max(limit, 1), most)


def _check_run_id(run_id: str) -> None:
    if not is_id(run_id):
        raise _no_run(run_id)


def _check_run(cursor: Cursor, run_id: str) -> None:
    _check_run_id(run_id)
    if not select(cursor, "run_exists", run_id=run_id)[0][0]:
        raise _no_run(run_id)


def _no_run(run_id: str) -> NotFound:
    return NotFound(f"there is no run {run_id!r}")
