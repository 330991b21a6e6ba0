"""The UPDATE of what can change in a row, made from the INSERT of the whole row; the rest is as it was when the row was made.

The writer knows which keys have a row: for those that change all the time an INSERT and an UPDATE of what can change are
cheaper than a MERGE of everything.
"""

from typing import NamedTuple

from perfect_projector.sql import columns_of


class Update(NamedTuple):
    """places: of the row's values, those that the statement takes, in the order of its parameters."""

    text: str
    places: tuple[int, ...]


def update_of(table: str, *, fixed: tuple[str, ...], keys: tuple[str, ...] = ("id",)) -> Update:
    """fixed: the columns that cannot change. keys: those that tell rows apart."""
    taken = [
        (place, column)
        for place, column in enumerate(columns_of(f"insert_{table}"))
        if column.name not in fixed
    ]
    values = ", ".join(column.value(n) for n, (_, column) in enumerate(taken, 1))
    changes = ", ".join(f"{one.name} = new.{one.name}" for _, one in taken if one.name not in keys)
    same = " AND ".join(f"{table}.{key} = new.{key}" for key in keys)
    text = f"UPDATE {table} SET {changes} FROM (SELECT {values}) AS new WHERE {same}"  # noqa: S608
    return Update(text, tuple(place for place, _ in taken))


UPDATES = {
    "update_runs": update_of(
        "runs",
        fixed=(
            "flow_id", "flow_name", "created_at", "configuration", "parameters", "tags", "origin", "parent_run_id",
        ),
    ),
    "update_task_runs": update_of("task_runs", fixed=("run_id", "task_id", "task_key", "name", "first_seq")),
    "update_task_statistics": update_of("task_statistics", fixed=("flow_id", "flow_name", "task_name")),
    "update_flow_statistics": update_of("flow_statistics", fixed=("flow_name",)),
    "update_daily_statistics": update_of(
        "daily_statistics",
        fixed=("flow_id", "flow_name", "task_name"),
        keys=("day", "id", "measure", "configuration", "flow_version"),
    ),
}  # fmt: skip
"""By the names that they have among the statements."""
