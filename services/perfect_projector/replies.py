"""The read side: one function a query, over a cursor on which a read-only transaction is open.

Each function takes the cursor and the query and returns what `perfect_schemas.queries` says. The offsets are read in
the same transaction, so an answer is exactly as of its `seq`.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec

from perfect_projector import cursor as page_cursor
from perfect_projector import view
from perfect_projector.forecast import curves_of
from perfect_projector.sql import select, statement
from perfect_projector.statistic_replies import of_flow, statistics
from perfect_projector.values import timestamp
from perfect_schemas import queries as q
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import NotFound
from perfect_schemas.ids import is_id
from perfect_schemas.views import (
    ClientView,
    FlowView,
    RecentRun,
    RunView,
    SummaryView,
    with_queues,
)

Cursor = Any
MAX_PAGE = 1_000
MAX_LINES = 10_000


def offsets(cursor: Cursor) -> dict[str, int]:
    return dict(cursor.execute(statement("offsets")).fetchall())


def runs(cursor: Cursor, query: q.RunPage) -> q.Runs:
    where: dict[str, Any] = {}
    if query.ids:
        where["ids"] = {"ids": [run_id for run_id in query.ids if is_id(run_id)]}
    if query.parent is not None:
        where["parent"] = {"parent": query.parent}
    if query.flow is not None:
        where |= of_flow(query.flow)
    for name in ("state", "tag", "configuration", "text"):
        if value := getattr(query, name):
            where[name] = {name: value}
    for name in ("since", "until"):
        if value := getattr(query, name):
            where[name] = {name: timestamp(value)}
    if query.cursor is not None:
        kind = str if query.sort == "start" else int
        after, after_id = page_cursor.decode(query.cursor, tuple[kind, str])
        where[f"after.{query.sort}"] = {"after": after, "after_id": after_id}
    limit = _clamp(query.limit, MAX_PAGE)
    order = statement(f"runs.order.{query.sort}")
    rows: list[tuple[Any, ...]] = []
    if query.cursor is not None and query.sort == "start":  # most pages are full with what is close by
        rows = select(cursor, "runs", {**where, "near.start": {}}, _order=order, limit=limit + 1)
    if len(rows) <= limit:
        rows = select(cursor, "runs", where, _order=order, limit=limit + 1)
    found = [view.run_of(row) for row in rows[:limit]]
    more = None
    if len(rows) > limit:
        last = rows[limit - 1]
        key = last[7].isoformat() if query.sort == "start" else -1 if last[10] is None else last[10]
        more = page_cursor.encode(key, last[0])
    return q.Runs(runs=found, next=more)


def run(cursor: Cursor, query: q.RunDetail) -> RunView:
    _check_run_id(query.run_id)
    rows = select(cursor, "run", run_id=query.run_id)
    if not rows:
        raise _no_run(query.run_id)
    found = view.run_of(rows[0])
    if found.state != "RUNNING":
        return found
    return with_queues(found, [name for (name,) in select(cursor, "untaken_queues", run_id=query.run_id)])


def task_runs(cursor: Cursor, query: q.TaskRunPage) -> q.TaskRuns:
    _check_run(cursor, query.run_id)
    limit = _clamp(query.limit, MAX_LINES)
    after = page_cursor.decode(query.cursor, tuple[int])[0] if query.cursor else 0
    rows = select(cursor, "task_runs", run_id=query.run_id, after=after, limit=limit + 1)
    more = page_cursor.encode(rows[limit - 1][17]) if len(rows) > limit else None
    return q.TaskRuns(task_runs=[view.task_run_of(row) for row in rows[:limit]], next=more)


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
    if query.cursor is not None:
        seq, n = page_cursor.decode(query.cursor, tuple[int, int])
        where["before" if query.tail else "after"] = {"seq": seq, "n": n}
    limit = _clamp(query.limit, MAX_LINES)
    rows = select(cursor, "logs", where, _direction="DESC" if query.tail else "ASC", limit=limit + 1)
    more = page_cursor.encode(rows[limit - 1][0], rows[limit - 1][1]) if len(rows) > limit else None
    rows = rows[:limit]
    if query.tail:
        rows.reverse()
    if not rows and query.cursor is None:
        _check_run(cursor, query.run_id)
    return q.Logs(
        logs=[view.log_of(row) for row in rows],
        seq=offsets(cursor).get("LOGS", 0),
        next=more,
        total=select(cursor, "log_count", run_id=query.run_id)[0][0] if query.count else None,
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


def flows(cursor: Cursor, query: q.FlowList) -> list[FlowView]:
    return _flows(cursor, {} if query.hidden else {"visible": {}})


def flow(cursor: Cursor, query: q.FlowDetail) -> FlowView:
    where = {"id": {"flow_id": query.flow}} if is_id(query.flow) else {"name": {"flow_name": query.flow}}
    found = _flows(cursor, where)
    if not found:
        raise NotFound(f"there is no flow {query.flow!r}: register it by starting a worker that has it")
    flow_id = found[0].id
    counts = dict(select(cursor, "expected_counts", flow_id=flow_id))
    curves = select(cursor, "curves", flow_id=flow_id)
    return msgspec.structs.replace(
        found[0],
        expected_counts=counts,
        curves=curves_of(curves[0][0]) if curves else [],
        statistics=next(iter(statistics(cursor, q.Statistics(flow=flow_id)).flows), None),
    )


def _flows(cursor: Cursor, where: dict[str, Any]) -> list[FlowView]:
    rows = select(cursor, "flows", where)
    recent: dict[str, list[RecentRun]] = {row[0]: [] for row in rows}
    for row in select(cursor, "recent_runs", flow_ids=list(recent)) if rows else []:
        recent[row[0]].append(view.recent_of(row))
    return [view.flow_of(row, recent[row[0]]) for row in rows]


def clients(cursor: Cursor, _: q.ClientList) -> list[ClientView]:
    return [view.client_of(row) for row in select(cursor, "clients")]


def summary(cursor: Cursor, _: q.Summary) -> SummaryView:
    since = timestamp(utc_now() - timedelta(hours=24))
    running, waiting, completed, failed, connected = select(cursor, "summary", since=since)[0]
    return SummaryView(
        running=running, waiting=waiting, completed_24h=completed, failed_24h=failed, clients=connected
    )


REPLIES: dict[str, tuple[type, Callable[[Cursor, Any], Any]]] = {
    "runs": (q.RunPage, runs),
    "run": (q.RunDetail, run),
    "task_runs": (q.TaskRunPage, task_runs),
    "logs": (q.LogPage, logs),
    "events": (q.EventPage, events),
    "flows": (q.FlowList, flows),
    "flow": (q.FlowDetail, flow),
    "statistics": (q.Statistics, statistics),
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
