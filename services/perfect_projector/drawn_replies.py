"""What pages of large runs are made of: columns and groups of task runs, and the moments of a run."""

from typing import Any

import msgspec

from perfect_projector import view
from perfect_projector.batch import Row
from perfect_projector.sql import select
from perfect_schemas import drawn as d
from perfect_schemas.errors import NotFound
from perfect_schemas.ids import is_id

Cursor = Any
MOST_ROWS = 10_000
_LAST = (1 << 63) - 1  # beyond every sequence


class _Said(msgspec.Struct):
    """Of a warning or an error."""

    kind: str = ""
    message: str = ""


_said = msgspec.json.Decoder(_Said).decode


def task_columns(cursor: Cursor, query: d.TaskColumns) -> d.TaskColumnsView:
    _check_id(query.run_id)
    limit = min(max(query.limit, 1), MOST_ROWS)
    rows = select(cursor, "drawn_tasks", run_id=query.run_id, after=query.after, limit=limit + 1)
    more = rows[limit - 1][12] if len(rows) > limit else None
    found = list(zip(*rows[:limit], strict=True)) or [()] * 14
    ids, keys, task_ids, names, states, starts, ends, took, attempts, warnings, errors, labels = found[:12]
    tasks = dict(zip(task_ids, names, strict=True))
    places = {task_id: place for place, task_id in enumerate(tasks)}
    return d.TaskColumnsView(
        tasks=list(tasks.items()),
        id=list(ids),
        key=list(keys),
        of=[places[task_id] for task_id in task_ids],
        state=list(states),
        start=list(starts),
        end=list(ends),
        took=list(took),
        attempt=list(attempts),
        first_seq=list(found[12]),
        last_seq=list(found[13]),
        warning={row: _said(text).message for row, text in enumerate(warnings) if text},
        error={
            row: (said.kind, said.message)
            for row, said in ((row, _said(text)) for row, text in enumerate(errors) if text)
        },
        label={row: text for row, text in enumerate(labels) if text},
        next=more,
    )


def task_groups(cursor: Cursor, query: d.TaskGroups) -> d.TaskGroupsView:
    _check_id(query.run_id)
    families: dict[str, list[Row]] = {}
    for row in sorted(select(cursor, "task_groups", run_id=query.run_id), key=lambda row: row[3]):
        families.setdefault(row[0], []).append(row)
    after: dict[str, dict[str, int]] = {}
    for family, source, count in select(cursor, "task_group_sources", run_id=query.run_id):
        after.setdefault(family, {})[source] = count
    groups = sorted(
        (_group(rows, after.get(family, {})) for family, rows in families.items()),
        key=lambda group: group.start,
    )
    limit = max(query.limit, 1)
    return d.TaskGroupsView(
        groups=groups[:limit],
        tasks=sum(sum(group.states.values()) for group in groups),
        left_out=max(0, len(groups) - limit),
    )


def _group(rows: list[Row], after: dict[str, int]) -> d.TaskGroup:
    """rows: of one family, a state a row, the one that began first before the others."""
    family, _, _, _, key, name, *_ = rows[0]
    is_open = any(row[8] for row in rows)
    return d.TaskGroup(
        family=family,
        key=key,
        name=name,
        start=min(row[6] for row in rows),
        end=None if is_open else max(row[7] for row in rows),
        states={row[1]: row[2] for row in rows},
        after=after,
    )


def run_moment(cursor: Cursor, query: d.RunMoment) -> d.RunMomentView:
    _check_id(query.run_id)
    known = select(cursor, "run_moment", run_id=query.run_id)
    first = select(cursor, "moment_place", run_id=query.run_id, after=0) if known else []
    if not first:
        raise NotFound(f"there is no run {query.run_id!r}")
    ((state, tasks),) = known
    seq = max(query.seq, first[0][0])
    if query.n is not None:
        place = select(cursor, "moment_place", run_id=query.run_id, after=max(query.n, 0))
        seq = place[0][0] if place else _LAST
    kinds = select(cursor, "moment_kinds", run_id=query.run_id, seq=seq)
    (seq, payload), *before = select(cursor, "moment_event", run_id=query.run_id, seq=seq)
    following = [row[4] for row in kinds if row[4] is not None]
    beside = select(cursor, "moment_beside", run_id=query.run_id, seq=seq)
    return d.RunMomentView(
        n=sum(row[2] for row in kinds) - 1,
        seq=seq,
        event=msgspec.Raw(payload.encode()),
        prior=before[0][0] if before else None,
        following=min(following, default=None),
        state=state,
        kinds={row[0]: row[1] for row in kinds},
        tasks=tasks,
        beside=[view.event_of(row) for row in beside],
    )


def _check_id(run_id: str) -> None:
    if not is_id(run_id):
        raise NotFound(f"there is no run {run_id!r}")
