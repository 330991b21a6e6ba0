"""The strip of last outcomes: one bar a run, oldest on the left, as high as the run was long."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from perfect_ui.formats import duration, tone

SHOWN = 24
HEIGHT = 28
PITCH = 7


class Bar(NamedTuple):
    """svg: its rectangle from `y` on, and its title."""

    y: float
    height: float
    tone: str
    title: str
    svg: str


class Column(NamedTuple):
    x: int
    y: float
    height: float
    tone: str
    title: str
    href: str


def strip(recent: list[dict[str, Any]]) -> list[Column]:
    """`recent` is newest first; the newest stands at the right edge, so strips of several flows align."""
    return [
        Column(x, bar.y, bar.height, bar.tone, bar.title, f"/runs/{run['id']}")
        for x, run, bar in reversed(list(_placed(recent)))
    ]


def svg(recent: list[dict[str, Any]]) -> Markup:
    """The same as SVG. Not by a template: a page of flows has a thousand columns."""
    drawn = [
        f'<a href="/runs/{escape(run["id"])}" tabindex="-1"><rect class="hit" x="{x - 1}" width="7" height="28"/>'
        f'<rect class="bar tone-{bar.tone}" x="{x}" {bar.svg}</a>'
        for x, run, bar in _placed(recent)
    ]
    drawn.reverse()
    drawn += [
        f'<rect class="blank" x="{(SHOWN - 1 - place) * PITCH}" y="24" width="5" height="4" rx="1.500"/>'
        for place in range(len(recent), SHOWN)
    ]
    return Markup("\n".join(drawn))  # noqa: S704 every value in it is a number, ours, or escaped


def _placed(recent: list[dict[str, Any]]) -> Iterator[tuple[int, dict[str, Any], Bar]]:
    """Each run with its x and its bar, the newest first."""
    shown = recent[:SHOWN]
    longest = max([run["duration_ms"] or 0 for run in shown], default=0) or 1
    for place, run in enumerate(shown):
        yield (SHOWN - 1 - place) * PITCH, run, _bar(run["state"], run["duration_ms"], longest)


@lru_cache(8192)
def _bar(state: str, duration_ms: int | None, longest: int) -> Bar:
    share = 0.35 if duration_ms is None else 0.22 + 0.78 * duration_ms / longest
    height = round(HEIGHT * share, 1)
    y = round(HEIGHT - height, 1)
    title = f"{state.capitalize()}{'' if duration_ms is None else f' in {duration(duration_ms)}'}"
    rectangle = f'y="{y}" width="5" height="{height}" rx="1.5"/><title>{escape(title)}</title>'
    return Bar(y, height, tone(state), title, rectangle)
