"""Pages of runs, as SQL alone answers them."""

from typing import Any

from perfect_projector import cursor as page_cursor
from perfect_projector import view
from perfect_projector.sql import select, statement
from perfect_projector.statistic_replies import of_flow
from perfect_projector.values import timestamp
from perfect_schemas import queries as q
from perfect_schemas.ids import is_id

Cursor = Any
Where = dict[str, Any]
MAX_PAGE = 1_000
_OF_AN_ID = frozenset("0123456789abcdef-")
_CREATED_AT, _DURATION = 7, 10  # places in a row of the statement `runs`


def runs(cursor: Cursor, query: q.RunPage) -> q.Runs:
    rows = page(cursor, "runs", query)
    limit = page_size(query)
    found = [view.run_of(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return q.Runs(runs=found)
    last = rows[limit - 1]
    return q.Runs(runs=found, next=following(query, last[0], last[_CREATED_AT], last[_DURATION]))


def page(cursor: Cursor, name: str, query: q.RunPage) -> list[tuple[Any, ...]]:
    """The rows of a page by the statement `name`, and one more when another page follows."""
    where = conditions(query)
    order = statement(f"runs.order.{query.sort}")
    limit = page_size(query)
    if query.cursor is not None and query.sort == "start":  # most pages are full with what is close by
        near = {**where, "near.start": {}}
        rows = select(cursor, name, near, conditions="runs", _order=order, limit=limit + 1)
        if len(rows) > limit:
            return rows
    return select(cursor, name, where, conditions="runs", _order=order, limit=limit + 1)


def conditions(query: q.RunPage) -> Where:
    where: Where = {}
    if query.ids:
        where["ids"] = {"ids": [run_id for run_id in query.ids if is_id(run_id)]}
    if query.parent is not None:
        where["parent"] = {"parent": query.parent}
    if query.flow is not None:
        where |= of_flow(query.flow)
    for name in ("state", "tag", "configuration"):
        if value := getattr(query, name):
            where[name] = {name: value}
    if query.text:
        where["text" if _OF_AN_ID.issuperset(query.text.lower()) else "words"] = {"text": query.text}
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
