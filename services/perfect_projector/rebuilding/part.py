"""The rows of a share, as two Parquet files.

Much of a task run is the same in many of them: that is written once a `Kind`, each row has its number. All columns go to
DuckDB as JSON texts (see `binding`): in a third of the time of lists.
"""

from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import duckdb
import msgspec
from msgspec.structs import FieldInfo

from perfect_projector import run_row, task_row
from perfect_projector.batch import Row
from perfect_projector.database import quoted
from perfect_projector.rebuilding.plain import Plain
from perfect_projector.run_row import Measured
from perfect_projector.sql import columns_of
from perfect_projector.values import text, text_or_none, utc
from perfect_schemas.envelope import Event
from perfect_schemas.events import TaskCompleted, TaskFailed, TaskStarted
from perfect_schemas.folds import task as task_fold
from perfect_schemas.folds.history import OPEN_TASK_AT_END
from perfect_schemas.folds.run import RunLife
from perfect_schemas.folds.task import TaskLife

Kind = tuple[Any, ...]
_KIND = (2, 3, 4, 5, 6, 10, 11, 14, 16)
"""Of the columns in `insert_task_runs`: task and key, state and progress, attempt and epoch, a warning, whether it counts."""
_encode = msgspec.json.Encoder().encode
_TOLD = {
    *Event.__struct_fields__, "task_id", "name", "ordinal", "input_digest", "dispatch_id", "client_id",
    "duration_ms", "result", "error", "after",
}  # fmt: skip
"""The fields that `Part` knows, or that say nothing about a task of the run's own worker."""


def _extras(kind: type[Event]) -> tuple[Callable[[Any], Any], Any]:
    """What reads all other fields of an event, and what they are when nothing was said."""
    fields = [field for field in msgspec.structs.fields(kind) if field.name not in _TOLD]
    if not fields:
        return attrgetter("__class__"), kind
    nothing = tuple(map(_default, fields))
    return attrgetter(*(field.name for field in fields)), nothing if len(fields) > 1 else nothing[0]


def _default(field: FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


_EXTRAS: dict[type[Event], tuple[Callable[[Any], Any], Any]] = {
    kind: _extras(kind) for kind in (TaskStarted, TaskCompleted, TaskFailed)
}


class Part:
    """What the runs of a share add to the tables `runs` and `task_runs`."""

    def __init__(self) -> None:
        self._runs: list[Row] = []
        self._tasks: list[Row] = []
        self._kinds: dict[Kind, int] = {}

    def add(self, run_id: str, plain: Plain) -> None:
        measured = Measured(launch_ms=plain.launch_ms, tasks_done=len(plain.ended_seqs))
        self._runs.append(run_row.row_of(run_id, plain.run, measured))
        for said in plain.tasks.values():
            if len(said) == 2:
                (first_seq, began), (seq, end) = said
                kind = type(end)
                if type(began) is TaskStarted and kind in _EXTRAS and _is_usual(began) and _is_usual(end):
                    self._add(run_id, first_seq, began, seq, end, completed=kind is TaskCompleted)
                    continue
            self._add_row(_evolved(run_id, said, plain.run))

    def _add(
        self, run_id: str, first_seq: int, began: TaskStarted, seq: int, end: Any, *, completed: bool
    ) -> None:
        """A task that was started once and has completed or failed: what `_evolved` comes to, in a third of the time."""
        kind = (
            began.task_id,
            began.task_key,
            began.name,
            "COMPLETED" if completed else "FAILED",
            100.0 if completed else 0.0,
            end.attempt or began.attempt or 1,
            end.epoch,
            None,
            completed,
        )
        self._tasks.append(
            (
                self._kinds.setdefault(kind, len(self._kinds)),
                began.task_run_id,
                run_id,
                utc(began.at),
                utc(end.at),
                end.duration_ms,
                None if completed else text(end.error),
                text_or_none(end.result) if completed else None,
                text(task_row.Details(began.ordinal, began.input_digest, after=began.after)),
                first_seq,
                seq,
            )
        )

    def _add_row(self, row: Row) -> None:
        """In the order of the columns in `insert_task_runs`."""
        kind = tuple(row[place] for place in _KIND)
        number = self._kinds.setdefault(kind, len(self._kinds))
        self._tasks.append((number, *(row[place] for place in _REST)))

    def write(self, writer: duckdb.DuckDBPyConnection, folder: Path, number: int) -> list[Path]:
        """number: of the share."""
        files: list[Path] = []
        for table, select, columns in (
            ("runs", _RUNS, list(zip(*self._runs, strict=True))),
            ("task_runs", _TASK_RUNS, [*zip(*self._tasks, strict=True), *zip(*self._kinds, strict=True)]),
        ):
            if columns:
                file = folder / f"{table}-{number:06}.parquet"
                texts = [_encode(column).decode() for column in columns]
                writer.execute(f"COPY ({select}) TO {quoted(file)} (FORMAT parquet)", texts)
                files.append(file)
        return files


def _columns(insert: str) -> list[tuple[str, str]]:
    """Of each column its values, from the parameter `{}`, and its name. JSON as it comes: it is read when all parts are put
    together.
    """
    return [
        (f"{one.before}{{}}::JSON::{'VARCHAR[]' if one.after == 'JSON[]' else one.after}", one.name)
        for one in columns_of(insert)
    ]


_TASK_COLUMNS = _columns("insert_task_runs")
_REST = tuple(place for place in range(len(_TASK_COLUMNS)) if place not in _KIND)


def _select_runs() -> str:
    columns = [
        f"unnest({value.format(f'${n}')}) AS {name}"
        for n, (value, name) in enumerate(_columns("insert_runs"), 1)
    ]
    return f"SELECT {', '.join(columns)}"


def _select_task_runs() -> str:
    """The rows, each with the values of its kind."""
    rest, kinds = ([_TASK_COLUMNS[place] for place in places] for places in (_REST, _KIND))
    rows = [f"unnest({value.format(f'${n}')}) AS {name}" for n, (value, name) in enumerate(rest, 2)]
    lists = [f"{value.format(f'${n}')} AS {name}" for n, (value, name) in enumerate(kinds, len(rest) + 2)]
    shown = [f"rows.{name}" for _, name in rest] + [
        f"kinds.{name}[rows.kind + 1] AS {name}" for _, name in kinds
    ]
    return f"""
        SELECT {", ".join(shown)}
        FROM (SELECT unnest($1::JSON::BIGINT[]) AS kind, {", ".join(rows)}) AS rows, (SELECT {", ".join(lists)}) AS kinds
    """  # noqa: S608


_RUNS, _TASK_RUNS = _select_runs(), _select_task_runs()


def _is_usual(event: Event) -> bool:
    read, nothing = _EXTRAS[type(event)]
    return read(event) == nothing


def _evolved(run_id: str, said: list[tuple[int, Any]], run: RunLife) -> Row:
    life: TaskLife | None = None
    counted = False
    for seq, event in said:
        if event is not None:
            life = task_fold.evolve(life, event, seq)
            counted = counted or type(event) is TaskCompleted
        elif life is not None:
            # the end of the run: what was said of the run later has not changed these
            life = msgspec.structs.replace(
                life, state=OPEN_TASK_AT_END[run.state], end_time=run.end_time, last_seq=seq
            )
    assert life is not None
    return task_row.row_of(run_id, life, counted, said[0][0])
