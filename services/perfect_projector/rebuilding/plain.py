"""A run with a plain life, folded whole: its events are at hand from its beginning to its end.

Plain is a run that was claimed once and completed or failed, whose tasks ran in that claim and by its own worker: by far
most of all. What it comes to is what the fold event by event comes to (`project`), which folds all others.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

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
from perfect_schemas.folds.run import RunLife
from perfect_schemas.ids import is_id

Said = tuple[int, Event]
_EXECUTED = frozenset({TaskStarted, TaskRetrying, TaskCompleted, TaskCached, TaskFailed, TaskSkipped})
_ENDS = frozenset({TaskCompleted, TaskCached, TaskFailed, TaskSkipped})
_BEFORE = frozenset({RunQueued, RunStarted})
_AT_END = frozenset({RunCompleted, RunFailed})
_MILLISECOND = timedelta(milliseconds=1)
_is_known_id = lru_cache(10_000)(is_id)  # of tasks: there are few


class Shape(msgspec.Struct, frozen=True, cache_hash=True):
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


def fold(events: Sequence[Said]) -> Plain | None:  # noqa: PLR0915  one loop: a call for each event costs more than what it does
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
                if not (is_id(event.task_run_id or "") and _is_known_id(event.task_id)):  # type: ignore[attr-defined]
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
