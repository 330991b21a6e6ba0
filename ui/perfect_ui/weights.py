"""The tasks of a flow as one bar, each as wide as its weight is of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WIDTH = 100.0
MOST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    x: float
    width: float
    title: str


def weights(tasks: list[dict[str, Any]]) -> list[Segment]:
    """In a box WIDTH wide; empty when nothing weighs anything. What is beyond the first MOST is one segment."""
    total = sum(task["weight"] for task in tasks)
    if total <= 0:
        return []
    shown = [(f"{task['name']} {task['weight']:g}", task["weight"]) for task in tasks[:MOST]]
    if rest := tasks[MOST:]:
        shown.append((f"{len(rest)} more", sum(task["weight"] for task in rest)))
    segments, at = [], 0.0
    for title, weight in shown:
        wide = WIDTH * weight / total
        segments.append(Segment(x=round(at, 2), width=round(wide, 2), title=title))
        at += wide
    return segments
