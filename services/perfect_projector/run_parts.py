"""Rows of what belongs to one run. Of most runs it is little: then it is read as it lies there, and put in order here."""

from operator import itemgetter
from typing import Any

from perfect_projector.batch import Row
from perfect_projector.sql import select

Cursor = Any
FEW = 256
_TASK_ID, _FIRST_SEQ = 2, 17  # places in a row of the statement `task_runs`
_by_first_seq = itemgetter(_FIRST_SEQ)
_by_place = itemgetter(0, 1)  # of a row of the statement `logs`


def task_runs(cursor: Cursor, run_id: str, after: int, limit: int) -> list[Row]:
    """Those that began after the sequence, in that order."""
    if after == 0 and limit > FEW:
        rows = select(cursor, "few_task_runs", run_id=run_id, limit=FEW + 1)
        if len(rows) <= FEW:
            return sorted(rows, key=_by_first_seq)
    return select(cursor, "task_runs", run_id=run_id, after=after, limit=limit)


def with_plans(cursor: Cursor, rows: list[Row]) -> list[Row]:
    """Rows of `task_runs`, each with what `view.task_run_of` takes beyond them: the weight and usual time of its task."""
    task_ids = list({row[_TASK_ID] for row in rows})
    if not task_ids:
        return []
    plans = {task_id: plan for task_id, *plan in select(cursor, "task_plans", task_ids=task_ids)}
    usual = dict(select(cursor, "task_expected_ms", task_ids=task_ids))
    found = []
    for row in rows:
        weight, estimated_ms = plans.get(row[_TASK_ID], (1.0, None))
        found.append((*row, weight, usual.get(row[_TASK_ID], estimated_ms)))
    return found


def logs(cursor: Cursor, where: dict[str, Any], limit: int, *, tail: bool) -> list[Row]:
    """tail: the last ones first."""
    if limit > FEW:
        rows = select(cursor, "few_logs", where, conditions="logs", limit=FEW + 1)
        if len(rows) <= FEW:
            return sorted(rows, key=_by_place, reverse=tail)
    return select(cursor, "logs", where, _direction="DESC" if tail else "ASC", limit=limit)
