"""The task runs of a run as narrow columns: what a browser draws ten thousand of them from. Pure.

A row is named by its task key. What few rows have (a warning, an error, a name of its own) is a map from the row's place.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from perfect_gateway.facts import Usual
from perfect_schemas.drawn import TaskColumnsView
from perfect_schemas.views import TaskRunView

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


def columns(
    tasks: Sequence[TaskRunView],
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
            named.append(_named(task.task_id, task.name, usual.get(task.task_id)))
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


def ended(
    pages: Sequence[TaskColumnsView],
    usual: Mapping[str, Usual],
    *,
    seq: int | None,
    start_time: datetime | None,
    end_time: datetime | None,
) -> TimelineView:
    """Of a run that is final, as the read model has its task runs. start_time, end_time: the run's own. A task that was
    taken over may have begun before its run: everything is counted from the first of all.
    """
    moments = [start for page in pages for start in page.start if start is not None]
    moments += [] if start_time is None else [_micros(start_time)]
    begin = min(moments, default=0)
    places: dict[str, int] = {}
    named: list[TimelineTask] = []
    states: dict[str, int] = {}
    view: dict[str, Any] = {name: [] for name in ("key", "of", "state", "start", "end", "took", "attempt")}
    notes: dict[str, dict[int, str]] = {"warning": {}, "error": {}, "label": {}}
    for page in pages:
        done = len(view["key"])
        for task_id, name in page.tasks:
            if task_id not in places:
                places[task_id] = len(named)
                named.append(_named(task_id, name, usual.get(task_id)))
        of = [places[task_id] for task_id, _ in page.tasks]
        view["key"] += page.key
        view["of"] += [of[place] for place in page.of]
        view["state"] += [states.setdefault(state, len(states)) for state in page.state]
        view["start"] += [None if start is None else round((start - begin) / 1000) for start in page.start]
        view["end"] += [None if end is None else max(0, round((end - begin) / 1000)) for end in page.end]
        view["took"] += page.took
        view["attempt"] += page.attempt
        notes["warning"] |= {done + row: text for row, text in page.warning.items()}
        notes["error"] |= {done + row: text for row, (_, text) in page.error.items()}
        notes["label"] |= {done + row: text for row, text in page.label.items()}
    return TimelineView(
        seq=seq,
        start_time=_EPOCH + timedelta(microseconds=begin) if moments else None,
        end_ms=None if end_time is None or not moments else max(0, round((_micros(end_time) - begin) / 1000)),
        total=len(view["key"]),
        tasks=named,
        states=list(states),
        **notes,
        **view,
    )


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _named(task_id: str, name: str, usual: Usual | None) -> TimelineTask:
    if usual is None:
        return TimelineTask(id=task_id, name=name)
    return TimelineTask(
        id=task_id,
        name=name,
        mean_ms=round(usual.avg_duration_ms, 2),
        std_ms=None if usual.std_dev_ms is None else round(usual.std_dev_ms, 2),
        samples=usual.sample_count,
    )


def _since(begin: datetime | None, moment: datetime | None) -> int | None:
    if begin is None or moment is None:
        return None
    return max(0, round((moment - begin).total_seconds() * 1000))
