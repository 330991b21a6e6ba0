"""The task runs of a run as narrow columns: what a browser draws ten thousand of them from. Pure.

A row is named by its task key. What few rows have (a warning, an error, a name of its own) is a map from the row's place.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from perfect_gateway.facts import Usual


class Told(Protocol):
    @property
    def message(self) -> str: ...


class TaskLike(Protocol):
    """A task run as the API says it, or as much of it as is drawn."""

    @property
    def task_key(self) -> str: ...
    @property
    def task_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def start_time(self) -> datetime | None: ...
    @property
    def end_time(self) -> datetime | None: ...
    @property
    def duration_ms(self) -> int | None: ...
    @property
    def attempt(self) -> int: ...
    @property
    def performance_warning(self) -> dict[str, str] | None: ...
    @property
    def error(self) -> Told | None: ...
    @property
    def run_name(self) -> str | None: ...


class TaskError(msgspec.Struct):
    message: str = ""


class TaskRow(msgspec.Struct):
    """Of a task run, what is drawn: the rest of the answer is not decoded."""

    task_key: str
    task_id: str
    name: str
    state: str
    start_time: datetime | None
    end_time: datetime | None
    duration_ms: int | None
    attempt: int
    performance_warning: dict[str, str] | None = None
    error: TaskError | None = None
    run_name: str | None = None


class TimelineTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task of the flow, and how long it takes by history: mean_ms, std_ms are null as long as nobody knows."""

    id: str
    name: str
    mean_ms: float | None = None
    std_ms: float | None = None
    samples: int = 0


class TimelineView(msgspec.Struct, frozen=True, kw_only=True):
    """A column a list, all of one length, in order of start. of: place in `tasks`. state: place in `states`.
    start, end: ms from `start_time` (the run's first moment); null while it has not started or ended. took: ms.
    warning, error, label: by the row's place. seq: the EVENTS sequence that it is as of; with `?after=<seq>` only the
    rows are sent that have changed since. end_ms: of the run, null while it is not final. total: rows of the whole run.
    """

    seq: int | None
    start_time: datetime | None
    end_ms: int | None
    total: int
    tasks: list[TimelineTask]
    states: list[str]
    key: list[str]
    of: list[int]
    state: list[int]
    start: list[int | None]
    end: list[int | None]
    took: list[int | None]
    attempt: list[int]
    warning: dict[int, str] = {}
    error: dict[int, str] = {}
    label: dict[int, str] = {}


def first_moment(run_start: datetime | None, tasks: Iterable[TaskLike]) -> datetime | None:
    """A task that was taken over may have begun before its run: everything is counted from the first of all."""
    moments = [task.start_time for task in tasks if task.start_time is not None]
    return min([*moments, *([run_start] if run_start is not None else [])], default=None)


def columns(
    tasks: Sequence[TaskLike],
    usual: Mapping[str, Usual],
    *,
    seq: int | None,
    begin: datetime | None,
    end_time: datetime | None,
    total: int,
) -> TimelineView:
    places: dict[str, int] = {}
    named: list[TimelineTask] = []
    states: dict[str, int] = {}
    view: dict[str, Any] = {name: [] for name in ("key", "of", "state", "start", "end", "took", "attempt")}
    warning: dict[int, str] = {}
    error: dict[int, str] = {}
    label: dict[int, str] = {}
    for row, task in enumerate(tasks):
        if task.task_id not in places:
            places[task.task_id] = len(named)
            named.append(_named(task, usual.get(task.task_id)))
        view["key"].append(task.task_key)
        view["of"].append(places[task.task_id])
        view["state"].append(states.setdefault(task.state, len(states)))
        view["start"].append(_since(begin, task.start_time))
        view["end"].append(_since(begin, task.end_time))
        view["took"].append(task.duration_ms)
        view["attempt"].append(task.attempt)
        if task.performance_warning is not None:
            warning[row] = task.performance_warning["message"]
        if task.error is not None:
            error[row] = task.error.message
        if task.run_name:
            label[row] = task.run_name
    return TimelineView(
        seq=seq,
        start_time=begin,
        end_ms=_since(begin, end_time),
        total=total,
        tasks=named,
        states=list(states),
        warning=warning,
        error=error,
        label=label,
        **view,
    )


def _named(task: TaskLike, usual: Usual | None) -> TimelineTask:
    if usual is None:
        return TimelineTask(id=task.task_id, name=task.name)
    return TimelineTask(
        id=task.task_id,
        name=task.name,
        mean_ms=round(usual.avg_duration_ms, 2),
        std_ms=None if usual.std_dev_ms is None else round(usual.std_dev_ms, 2),
        samples=usual.sample_count,
    )


def _since(begin: datetime | None, moment: datetime | None) -> int | None:
    if begin is None or moment is None:
        return None
    return max(0, round((moment - begin).total_seconds() * 1000))
