"""A run with a plain life, folded whole: its events are at hand from its beginning to its end.

Plain is a run that was claimed once and completed or failed, whose tasks ran in that claim and by its own worker: by far
most of all. Its rows are those that the fold event by event comes to (`project`), which folds all others.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.structs import FieldInfo

from perfect_projector import task_row
from perfect_projector.batch import Row
from perfect_projector.values import text, text_or_none, timestamp
from perfect_schemas.envelope import Event
from perfect_schemas.events import (
    ArtifactSaved,
    RunArchived,
    RunCompleted,
    RunFailed,
    RunNamed,
    RunQueued,
    RunScheduled,
    RunStarted,
    TaskCached,
    TaskCompleted,
    TaskFailed,
    TaskRetrying,
    TaskSkipped,
    TaskStarted,
)
from perfect_schemas.events.statistic import PerformanceWarned
from perfect_schemas.folds import run as run_fold
from perfect_schemas.folds import task as task_fold
from perfect_schemas.folds.history import OPEN_TASK_AT_END
from perfect_schemas.folds.run import RunLife
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.ids import is_id

Said = tuple[int, Event]
_EXECUTED = frozenset({TaskStarted, TaskRetrying, TaskCompleted, TaskCached, TaskFailed, TaskSkipped})
_ENDS = frozenset({TaskCompleted, TaskCached, TaskFailed, TaskSkipped})
_BEFORE = frozenset({RunQueued, RunStarted})
_AT_END = frozenset({RunCompleted, RunFailed})
_MILLISECOND = timedelta(milliseconds=1)
_TOLD = {
    *Event.__struct_fields__, "task_id", "name", "ordinal", "input_digest", "dispatch_id", "client_id",
    "duration_ms", "result", "error",
}  # fmt: skip
"""The fields that `_row` knows, or that say nothing about a task of the run's own worker."""


def _extras(kind: type[Event]) -> tuple[Callable[[Any], Any], Any]:
    """What reads all other fields of an event, and what they are when nothing was said."""
    fields = [field for field in msgspec.structs.fields(kind) if field.name not in _TOLD]
    if not fields:
        return attrgetter("__class__"), kind
    nothing = tuple(map(_default, fields))
    return attrgetter(*(field.name for field in fields)), nothing if len(fields) > 1 else nothing[0]


def _default(field: FieldInfo) -> Any:
    return field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()


_EXTRAS = {kind: _extras(kind) for kind in (TaskStarted, TaskCompleted, TaskFailed)}


class Shape(msgspec.Struct, frozen=True):
    """In which order its tasks began and ended: 2 n for a begin of `task_ids[n]`, 2 n + 1 for an end."""

    task_ids: tuple[str, ...]
    steps: tuple[int, ...]


class Plain(msgspec.Struct, kw_only=True):
    """first_seq, started_seq, end_seq: of its first event, of the claim, and of the end, which was said at `ended_at`. elapsed_ms, ended_seqs: of each end of a task, how long the run
    had executed and its sequence. tasks: of each key its events; None among them: closed by the end of the run.
    completions: of tasks, (their first event, the completion with its sequence). artifacts: what was said of them.
    """

    run: RunLife
    launch_ms: int | None
    first_seq: int
    started_seq: int
    end_seq: int
    ended_at: datetime
    shape: Shape
    elapsed_ms: list[int]
    ended_seqs: list[int]
    tasks: dict[str, list[tuple[int, Any]]]
    completions: list[tuple[TaskStarted, int, TaskCompleted]]
    artifacts: list[Said]


def fold(events: list[Said]) -> Plain | None:  # noqa: PLR0915  one loop: a call for each event costs more than what it does
    """events: all of the run, in the order of the stream. None: its life is not plain."""
    first_seq, first = events[0]
    if type(first) is not RunScheduled or first.fork_of is not None or not is_id(first.flow_id):
        return None
    run = run_fold.evolve(None, first, first_seq)
    if run is None:
        return None
    tasks: dict[str, list[tuple[int, Any]]] = {}
    ended: set[str] = set()
    places: dict[str, int] = {}
    steps: list[int] = []
    elapsed_ms: list[int] = []
    ended_seqs: list[int] = []
    completions: list[tuple[TaskStarted, int, TaskCompleted]] = []
    artifacts: list[Said] = []
    launch_ms: int | None = None
    epoch = started_seq = end_seq = 0
    since = ended_at = first.at
    for seq, event in events[1:]:
        kind = type(event)
        if kind in _EXECUTED:
            if end_seq:  # it was under way when the run ended
                continue
            if not started_seq or event.epoch != epoch or event.dispatch_id is not None:  # type: ignore[attr-defined]
                return None
            key: str = event.task_key  # type: ignore[assignment]
            said = tasks.get(key)
            if said is None:
                if not (is_id(event.task_run_id or "") and is_id(event.task_id)):  # type: ignore[attr-defined]
                    return None
                said = tasks[key] = [(seq, event)]
                place = places.setdefault(event.task_id, len(places))  # type: ignore[attr-defined]
                steps.append(2 * place)
            elif key in ended:  # its first end wins
                continue
            else:
                said.append((seq, event))
            if kind in _ENDS:
                ended.add(key)
                began = said[0][1]
                steps.append(2 * places[began.task_id] + 1)
                elapsed_ms.append(max(int((event.at - since).total_seconds() * 1000), 0))
                ended_seqs.append(seq)
                if kind is TaskCompleted:
                    completions.append((began, seq, event))  # type: ignore[arg-type]
        elif kind is PerformanceWarned:
            if event.task_key is None:
                run = run_fold.evolve(run, event, seq) or run
            elif event.task_key in tasks:
                tasks[event.task_key].append((seq, event))
        elif kind in _BEFORE:
            if started_seq:
                return None
            after = run_fold.evolve(run, event, seq)
            if after is run or after is None:
                return None
            if kind is RunStarted:
                started_seq, epoch, since = seq, after.epoch, event.at
                if epoch < 1:
                    return None
                if run.queued_at is not None:
                    launch_ms = max((event.at - run.queued_at) // _MILLISECOND, 0)
            run = after
        elif kind in _AT_END:
            if end_seq or not started_seq:
                return None
            run = run_fold.evolve(run, event, seq) or run
            end_seq, ended_at = seq, event.at
            for key, said in tasks.items():
                if key not in ended:
                    said.append((seq, None))
        elif kind is ArtifactSaved:
            artifacts.append((seq, event))
        elif kind is RunNamed or (kind is RunArchived and end_seq):
            run = run_fold.evolve(run, event, seq) or run
        else:
            return None
    if not end_seq:
        return None
    return Plain(
        run=run,
        launch_ms=launch_ms,
        first_seq=first_seq,
        started_seq=started_seq,
        end_seq=end_seq,
        ended_at=ended_at,
        shape=Shape(tuple(places), tuple(steps)),
        elapsed_ms=elapsed_ms,
        ended_seqs=ended_seqs,
        tasks=tasks,
        completions=completions,
        artifacts=artifacts,
    )


def task_rows(run_id: str, plain: Plain) -> list[Row]:
    """In the order of the columns in `insert_task_runs`."""
    rows = []
    for said in plain.tasks.values():
        if len(said) == 2:
            (first_seq, began), (seq, end) = said
            kind = type(end)
            if type(began) is TaskStarted and kind in _EXTRAS and _is_usual(began) and _is_usual(end):
                rows.append(_row(run_id, first_seq, began, seq, end, completed=kind is TaskCompleted))
                continue
        rows.append(_evolved(run_id, said, plain.run))
    return rows


def _row(run_id: str, first_seq: int, began: TaskStarted, seq: int, end: Any, *, completed: bool) -> Row:
    """Of a task that was started once and has completed or failed: what `_evolved` comes to, in a third of the time."""
    return (
        began.task_run_id,
        run_id,
        began.task_id,
        began.task_key,
        began.name,
        "COMPLETED" if completed else "FAILED",
        100.0 if completed else 0.0,
        timestamp(began.at),
        timestamp(end.at),
        end.duration_ms,
        end.attempt or began.attempt or 1,
        end.epoch,
        None if completed else text(end.error),
        text_or_none(end.result) if completed else None,
        None,
        text(task_row.Details(began.ordinal, began.input_digest)),
        completed,
        first_seq,
        seq,
    )


def _is_usual(event: Event) -> bool:
    read, nothing = _EXTRAS[type(event)]
    return read(event) == nothing


def _evolved(run_id: str, said: list[tuple[int, Any]], run: RunLife) -> Row:
    life: TaskLife | None = None
    counted = False
    for seq, event in said:
        if event is None and life is not None:
            # the end of the run: what was said of the run later has not changed these
            life = msgspec.structs.replace(
                life, state=OPEN_TASK_AT_END[run.state], end_time=run.end_time, last_seq=seq
            )
        else:
            life = task_fold.evolve(life, event, seq)
            counted = counted or type(event) is TaskCompleted
    assert life is not None
    return task_row.row_of(run_id, life, counted, said[0][0])
