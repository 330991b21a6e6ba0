"""The report of a run: one HTML file that can be mailed, printed and kept.

It asks the network for nothing and runs no script, and its own policy holds it to that wherever it is opened: only the
style sheet inside it, known by its hash, is allowed.
"""

from __future__ import annotations

import base64
import hashlib
from bisect import bisect_right
from functools import cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from perfect_ui.digest import groups, notable
from perfect_ui.formats import instant
from perfect_ui.rendering import render
from perfect_ui.timeline import Timeline, timeline

MOST_ROWS = 300  # task runs listed one by one
MOST_NOTABLE = 60  # of more than that: those worth a look
GANTT_ROWS = 80  # task runs with a row each; above, one row a task
GANTT_TASKS = 60
MOST_PHASES = 60
MOST_BARS = 400
LIFE_TONES = {
    "scheduled": "wait", "queued": "wait", "running": "run", "waiting": "pause", "retry": "warn",
    "cancelling": "warn", "ended": "mute",
}  # fmt: skip
LIFE_WORDS = {
    "scheduled": "until it was due", "queued": "for a worker", "running": "on a client",
    "waiting": "suspended: sleep, pause, child run, slot", "retry": "between the flow's tries",
    "cancelling": "being cancelled", "ended": "ended, until it was tried again",
}  # fmt: skip


def report(
    *,
    now: str,
    run: dict[str, Any],
    tasks: list[dict[str, Any]],
    tasks_cut: bool,
    phases: list[dict[str, Any]],
    clients: list[dict[str, Any]],
    history: dict[str, Any] | None,
    task_history: dict[str, dict[str, Any]],
    logs_first: list[dict[str, Any]],
    logs_left_out: int,
    logs_last: list[dict[str, Any]],
    version: str,
) -> str:
    """The whole file. The shapes are those of `ui/README.md`; history: a statistic of the flow, task_history: of its tasks
    by id; phases: {kind, start, end, text, duration_ms}; clients: {id, name, host, pid, epochs, sdk_version,
    python_version}.
    """
    lived = [phase for phase in phases if phase["kind"] != "ended" or phase["end"]]
    few = len(tasks) <= MOST_ROWS
    line = timeline(run, tasks, now, group_above=GANTT_ROWS)
    return render(
        "pages/report.html",
        now=now,
        style=_style(),
        policy=report_policy(),
        run=run,
        line=line,
        gantt=line.rows[:GANTT_TASKS] if line.grouped else line.rows,
        life=_life(line, lived),
        phases=lived if len(lived) <= MOST_PHASES else lived[: MOST_PHASES // 2] + lived[-MOST_PHASES // 2 :],
        phases_left_out=max(len(lived) - MOST_PHASES, 0),
        totals=_totals(lived),
        tasks=tasks if few else notable(tasks, MOST_NOTABLE),
        task_count=len(tasks),
        tasks_cut=tasks_cut,
        groups=[] if few else groups(tasks),
        clients=clients,
        history=history,
        task_history=task_history,
        logs_first=logs_first,
        logs_left_out=logs_left_out,
        logs_last=logs_last,
        version=version,
        tones=LIFE_TONES,
        words=LIFE_WORDS,
    )


def report_policy() -> str:
    """The content security policy of the file, in it and on the answer that it comes with."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _style() -> Markup:
    folder = Path(__file__).parent / "templates" / "parts"
    return Markup((folder / "report.css").read_text("utf-8"))  # noqa: S704  a file of ours


def _life(line: Timeline, phases: list[dict[str, Any]]) -> list[tuple[float, float, str, str]]:
    """The phases as bars on the scale of the timeline: (x, width, tone, title). Of very many, one a piece of time."""
    if line.start is None:
        return []
    begin = instant(line.start)
    found = []
    for phase in phases:
        x = (instant(phase["start"]) - begin).total_seconds() * 1000
        end = min(x + phase["duration_ms"], line.span_ms)
        x = max(x, 0.0)
        if end > x:
            found.append((x, end, LIFE_TONES[phase["kind"]], f"{phase['kind']}: {phase['text']}"))
    if len(found) > MOST_BARS:
        width = line.span_ms / MOST_BARS
        starts = [x for x, *_ in found]
        places = [max(bisect_right(starts, (n + 0.5) * width) - 1, 0) for n in range(MOST_BARS)]
        found = [(n * width, (n + 1) * width, *found[place][2:]) for n, place in enumerate(places)]
    return [(round(x, 2), round(end - x, 2), colour, title) for x, end, colour, title in found]


def _totals(phases: list[dict[str, Any]]) -> list[tuple[str, float, int, float]]:
    """What each kind of phase took of the whole: (kind, ms, how many, percent), the longest first."""
    took: dict[str, list[float]] = {}
    for phase in phases:
        took.setdefault(phase["kind"], []).append(phase["duration_ms"])
    whole = sum(map(sum, took.values())) or 1.0
    found = [(kind, sum(each), len(each), 100 * sum(each) / whole) for kind, each in took.items()]
    return sorted(found, key=lambda one: -one[1])
