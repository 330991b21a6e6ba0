"""The timeline of a run: which bars to draw where. Pure; the template only writes it down.

Coordinates are milliseconds from the run's start, so that a bar never has to be computed anew when the scale grows: the
page changes the view box. Above `GROUP_ABOVE` task runs, one row stands for all task runs of one name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfect_ui.formats import duration, instant, is_final, task_number, tone

if TYPE_CHECKING:
    from datetime import datetime

GROUP_ABOVE = 200
_COLUMNS = 400  # how many pieces of time a grouped row tells apart
_WORST_FIRST = ("bad", "warn", "run", "pause", "good", "mute", "wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    x: float
    width: float
    tone: str
    title: str
    live: bool = False  # still running: the browser lets it grow


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    label: str
    count: int
    note: str  # what stands at the end of the row: a duration, or how far a group is
    tone: str
    bars: tuple[Bar, ...]
    link: str | None = None
    since: str | None = None  # ISO start of a running task: its duration ticks in the browser


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    span_ms: float
    start: str | None
    live: bool
    grouped: bool
    rows: tuple[Row, ...] = ()
    ticks: tuple[tuple[float, str], ...] = field(default=())  # (percent of the width, label)


def timeline(
    run: dict[str, Any], tasks: list[dict[str, Any]], now: str, *, group_above: int = GROUP_ABOVE
) -> Timeline:
    """Lay out `tasks` of `run` as of `now` (ISO). Of those that are grouped, times may be datetimes."""
    started = [task for task in tasks if task["start_time"]]
    starts = [task["start_time"] for task in started]
    starts += [run["start_time"]] if run["start_time"] else []
    live = not is_final(run["state"])
    if not starts:
        return Timeline(span_ms=1000, start=None, live=live, grouped=False)
    start = min(starts, key=instant)
    end = now if live else (run["end_time"] or now)
    ends = [_offset(start, task["end_time"]) for task in started if task["end_time"]]
    span = max([_offset(start, end), *ends, 1.0])
    started.sort(key=lambda task: instant(task["start_time"]))
    grouped = len(tasks) > group_above
    rows = (
        _groups(started, start, span) if grouped else [_row(task, start, span, live=live) for task in started]
    )
    return Timeline(
        span_ms=span,
        start=start if isinstance(start, str) else start.isoformat(),
        live=live,
        grouped=grouped,
        rows=tuple(rows),
        ticks=tuple(ticks(span)),
    )


def ticks(span_ms: float) -> list[tuple[float, str]]:
    """4 to 9 marks at round times: (percent of the width, label). The same steps as in `src/timeline.ts`."""
    steps = [1, 2, 5, 10, 20, 50, 100, 200, 500]
    steps += [
        second * 1000
        for second in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
    ]
    step = next((step for step in steps if span_ms / step <= 8), 86_400_000)
    while span_ms / step > 8:
        step *= 2
    return [(100 * n * step / span_ms, tick_label(n * step)) for n in range(int(span_ms // step) + 1)]


def tick_label(ms: float) -> str:
    if ms == 0:
        return "0"
    if ms < 1000:
        return f"{ms:g} ms"
    seconds = ms / 1000
    if seconds < 60:
        return f"{seconds:g} s"
    if seconds < 3600:
        return f"{int(seconds // 60)}m" + (f" {int(seconds % 60)}s" if seconds % 60 else "")
    return f"{int(seconds // 3600)}h" + (f" {int(seconds % 3600 // 60)}m" if seconds % 3600 else "")


def _offset(start: str | datetime, moment: str | datetime) -> float:
    return max(0.0, (instant(moment) - instant(start)).total_seconds() * 1000)


def _row(task: dict[str, Any], start: str, span: float, *, live: bool) -> Row:
    x = _offset(start, task["start_time"])
    open_ended = task["end_time"] is None
    end = span if open_ended else _offset(start, task["end_time"])
    spent = task["duration_ms"] if task["duration_ms"] is not None else end - x
    bar = Bar(
        x=round(x, 2),
        width=round(max(0.0, end - x), 2),
        tone=tone(task["state"]),
        title=f"{task['name']}: {task['state'].lower()}, {duration(spent)}",
        live=live and open_ended and not is_final(task["state"]),
    )
    number = task_number(task["task_key"])
    return Row(
        label=f"{task['name']} #{number}" if number > 1 else task["name"],
        count=1,
        note=duration(spent),
        tone=bar.tone,
        bars=(bar,),
        link=f"#task-{task['id']}",
        since=task["start_time"] if bar.live else None,
    )


def _groups(started: list[dict[str, Any]], start: str, span: float) -> list[Row]:
    by_name: dict[str, list[dict[str, Any]]] = {}
    for task in started:
        by_name.setdefault(task["name"], []).append(task)
    return [_group(name, tasks, start, span) for name, tasks in by_name.items()]


def _group(name: str, tasks: list[dict[str, Any]], start: str | datetime, span: float) -> Row:
    """One row for all task runs of a name: each column of time shows the worst of what ran in it."""
    columns: list[int | None] = [None] * _COLUMNS
    begin = instant(start)
    counts: dict[str, int] = {}
    for task in tasks:
        kind = tone(task["state"])
        counts[kind] = counts.get(kind, 0) + 1
        rank = _WORST_FIRST.index(kind)
        end = span if task["end_time"] is None else _offset(begin, task["end_time"])
        first = min(_COLUMNS - 1, int(_offset(begin, task["start_time"]) / span * _COLUMNS))
        last = min(_COLUMNS - 1, int(end / span * _COLUMNS))
        for column in range(first, last + 1):
            known = columns[column]
            columns[column] = rank if known is None else min(known, rank)
    done = counts.get("good", 0)
    bad = counts.get("bad", 0)
    note = f"{done} of {len(tasks)}" if done != len(tasks) else f"{done} done"
    worst = next(kind for kind in _WORST_FIRST if counts.get(kind))
    return Row(
        label=name,
        count=len(tasks),
        note=f"{note}, {bad} failed" if bad else note,
        tone=worst,
        bars=tuple(_merge(columns, span, f"{name}: {len(tasks)} task runs")),
    )


def _merge(columns: list[int | None], span: float, title: str) -> list[Bar]:
    width = span / _COLUMNS
    bars: list[Bar] = []
    begin = 0
    for column in range(1, _COLUMNS + 1):
        if column < _COLUMNS and columns[column] == columns[begin]:
            continue
        rank = columns[begin]
        if rank is not None:
            size = (column - begin) * width
            bars.append(
                Bar(x=round(begin * width, 2), width=round(size, 2), tone=_WORST_FIRST[rank], title=title)
            )
        begin = column
    return bars
