"""Pages of runs, as SQL alone answers them."""

from typing import Any

from perfect_projector import cursor as page_cursor
from perfect_projector import run_text, view
from perfect_projector.batch import Row
from perfect_projector.run_text import KnownTags
from perfect_projector.sql import select, statement
from perfect_projector.statistic_replies import of_flow
from perfect_projector.values import timestamp
from perfect_schemas import queries as q
from perfect_schemas.envelope import utc_now
from perfect_schemas.ids import is_id

Cursor = Any
Where = dict[str, Any]
MAX_PAGE = 1_000
_FLOW_ID, _STATE, _CREATED_AT, _DURATION = 1, 5, 7, 10  # places in a row of the statement `runs`


def runs(cursor: Cursor, query: q.RunPage) -> q.Runs:
    rows = page(cursor, "runs", query)
    limit = page_size(query)
    found = [view.run_of(row) for row in with_history(cursor, rows[:limit])]
    if len(rows) <= limit:
        return q.Runs(runs=found)
    last = rows[limit - 1]
    return q.Runs(runs=found, next=following(query, last[0], last[_CREATED_AT], last[_DURATION]))


def with_history(cursor: Cursor, rows: list[Row]) -> list[Row]:
    """Rows of `runs`, each with what `view.run_of` takes beyond them: how long runs of its flow take."""
    usual = expected_ms(cursor, {row[_FLOW_ID] for row in rows})
    running = {row[_FLOW_ID] for row in rows if row[_STATE] == "RUNNING"}
    known = curves(cursor, running)
    return [
        (*row, usual.get(row[_FLOW_ID]), known.get(row[_FLOW_ID]) if row[_STATE] == "RUNNING" else None)
        for row in rows
    ]


def expected_ms(cursor: Cursor, flow_ids: set[str | None]) -> dict[str, float]:
    wanted = [flow_id for flow_id in flow_ids if flow_id is not None]
    return dict(select(cursor, "expected_ms", flow_ids=wanted)) if wanted else {}


def curves(cursor: Cursor, flow_ids: set[str | None]) -> dict[str, str | None]:
    wanted = [flow_id for flow_id in flow_ids if flow_id is not None]
    return dict(select(cursor, "curves", flow_ids=wanted)) if wanted else {}


def page(cursor: Cursor, name: str, query: q.RunPage, tags: KnownTags | None = None) -> list[Row]:
    """The rows of a page by the statement `name`, and one more when another page follows."""
    where = conditions(query)
    if near := _near(query):  # most pages are full with what is close by
        rows = _rows(cursor, name, query, {**where, **near}, None)
        if len(rows) > page_size(query):
            return rows
    return _rows(cursor, name, query, where, tags)


def _near(query: q.RunPage) -> Where | None:
    """The condition of a few hours before where the page begins, if that alone narrows what is read."""
    if query.sort != "start":
        return None
    if query.cursor is not None:
        return {"near.start": {}}
    if query.until is not None:
        return {"near.until": {}}
    return {"near.now": {"now": timestamp(utc_now())}} if query.text else None


def _rows(cursor: Cursor, name: str, query: q.RunPage, where: Where, tags: KnownTags | None) -> list[Row]:
    values: dict[str, Any] = {
        "_order": statement(f"runs.order.{query.sort}"),
        "limit": page_size(query) + 1,
    }
    if query.text:
        parameters, fills = run_text.condition(cursor, query.text, tags)
        where = {**where, "text": parameters}
        values |= fills
    return select(cursor, name, where, conditions="runs", **values)


def conditions(query: q.RunPage) -> Where:
    where: Where = {}
    if query.ids:
        where["ids"] = {"ids": [run_id for run_id in query.ids if is_id(run_id)]}
    if query.parent is not None:
        where["parent"] = {"parent": query.parent}
    if query.flow is not None:
        where |= of_flow(query.flow)
    for name in ("state", "tag", "configuration", "worker"):
        if value := getattr(query, name):
            where[name] = {name: value}
    for name in ("since", "until"):
        if value := getattr(query, name):
            where[name] = {name: timestamp(value)}
    if query.cursor is not None:
        kind = str if query.sort == "start" else int
        after, after_id = page_cursor.decode(query.cursor, tuple[kind, str])
        where[f"after.{query.sort}"] = {"after": after, "after_id": after_id}
    return where


def page_size(query: q.RunPage) -> int:
    return min(max(query.limit, 1), MAX_PAGE)


def following(query: q.RunPage, run_id: str, created_at: Any, duration_ms: int | None) -> str:
    """The cursor of the page after the one that ends with this run."""
    key = created_at.isoformat() if query.sort == "start" else -1 if duration_ms is None else duration_ms
    return page_cursor.encode(key, run_id)
