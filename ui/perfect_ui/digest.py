"""Many task runs in few rows: one a task, and those that a reader wants to see by themselves. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perfect_ui.formats import tone

_WORST_FIRST = ("bad", "warn", "run", "pause", "good", "mute", "wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All task runs of one name. Durations in ms, of those that have one; total: their sum. not_good: neither completed
    nor cached nor running.
    """

    name: str
    task_id: str
    count: int
    not_good: int
    warned: int
    mean: float | None
    least: float | None
    most: float | None
    total: float
    tone: str


def groups(tasks: list[dict[str, Any]]) -> list[Group]:
    """In order of their first start."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for task in tasks:
        by_name.setdefault(task["name"], []).append(task)
    return [_group(name, found) for name, found in by_name.items()]


def notable(tasks: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most `most` task runs, in their order: failed ones first of all, then warned ones, then the longest."""

    def rank(place: int) -> tuple[bool, bool, float]:
        task = tasks[place]
        return (
            tone(task["state"]) not in {"bad", "warn"},
            not task["performance_warning"],
            -(task["duration_ms"] or 0),
        )

    return [tasks[place] for place in sorted(sorted(range(len(tasks)), key=rank)[:most])]


def differing(pairs: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """At most `most` pairs of task runs, in their order: those that are in one run only, then what differs most."""

    def rank(place: int) -> tuple[bool, float]:
        pair = pairs[place]
        return (pair["a_state"] is not None and pair["b_state"] is not None, -abs(pair["delta_ms"] or 0))

    return [pairs[place] for place in sorted(sorted(range(len(pairs)), key=rank)[:most])]


def _group(name: str, tasks: list[dict[str, Any]]) -> Group:
    took = [task["duration_ms"] for task in tasks if task["duration_ms"] is not None]
    tones = {tone(task["state"]) for task in tasks}
    return Group(
        name=name,
        task_id=tasks[0]["task_id"],
        count=len(tasks),
        not_good=sum(tone(task["state"]) not in {"good", "run"} for task in tasks),
        warned=sum(bool(task["performance_warning"]) for task in tasks),
        mean=sum(took) / len(took) if took else None,
        least=min(took, default=None),
        most=max(took, default=None),
        total=float(sum(took)),
        tone=next((kind for kind in _WORST_FIRST if kind in tones), "mute"),
    )
