"""The strip of last outcomes: one bar a run, oldest on the left, as high as the run was long."""

from __future__ import annotations

from typing import Any, NamedTuple

from markupsafe import Markup, escape

from perfect_ui.formats import duration, tone

SHOWN = 24
HEIGHT = 28
PITCH = 7


class Column(NamedTuple):
    x: int
    y: float
    height: float
    tone: str
    title: str
    href: str


def strip(recent: list[dict[str, Any]]) -> list[Column]:
    """`recent` is newest first; the newest stands at the right edge, so strips of several flows align."""
    shown = recent[:SHOWN]
    longest = max([run["duration_ms"] or 0 for run in shown], default=0) or 1
    columns = []
    for place, run in enumerate(shown):
        share = 0.35 if run["duration_ms"] is None else 0.22 + 0.78 * run["duration_ms"] / longest
        height = round(HEIGHT * share, 1)
        spent = "" if run["duration_ms"] is None else f" in {duration(run['duration_ms'])}"
        columns.append(
            Column(
                x=(SHOWN - 1 - place) * PITCH,
                y=round(HEIGHT - height, 1),
                height=height,
                tone=tone(run["state"]),
                title=f"{run['state'].capitalize()}{spent}",
                href=f"/runs/{run['id']}",
            )
        )
    return columns[::-1]


def bars(recent: list[dict[str, Any]]) -> Markup:
    """The columns as SVG. Not in a template: a page of flows has a thousand of them."""
    drawn = [
        f'<a href="{escape(one.href)}" tabindex="-1"><rect class="hit" x="{one.x - 1}" width="7" height="28"/>'
        f'<rect class="bar tone-{one.tone}" x="{one.x}" y="{one.y}" width="5" height="{one.height}" rx="1.5"/>'
        f"<title>{escape(one.title)}</title></a>"
        for one in strip(recent)
    ]
    drawn += [
        f'<rect class="blank" x="{(SHOWN - 1 - place) * PITCH}" y="24" width="5" height="4" rx="1.500"/>'
        for place in range(len(recent), SHOWN)
    ]
    return Markup("\n".join(drawn))  # every value in it is a number, ours, or escaped
