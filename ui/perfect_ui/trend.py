"""How long something took day by day: two small lines, the median and what 95 % stay below."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from perfect_ui.formats import duration

WIDTH = 120.0
HEIGHT = 24.0
EDGE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """median, most: points of a polyline in a box WIDTH by HEIGHT. text: the same in words."""

    median: str
    most: str
    text: str


def trend(days: list[dict[str, Any]]) -> Trend | None:
    """`days`: statistics of the API by day. None below two days: there is no line to draw."""
    known = sorted((one for one in days if one["p50_ms"] is not None), key=lambda one: one["day"])
    if len(known) < 2:
        return None
    begin = _date(known[0]["day"])
    places = [(_date(one["day"]) - begin).days for one in known]
    highest = max(1.0, *(one["p95_ms"] for one in known))

    def line(name: str) -> str:
        return " ".join(
            f"{EDGE + (WIDTH - 2 * EDGE) * place / places[-1]:.1f},"
            f"{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * one[name] / highest:.1f}"
            for place, one in zip(places, known, strict=True)
        )

    first, last = known[0], known[-1]
    text = (
        f"median {duration(first['p50_ms'])} on {first['day']}, {duration(last['p50_ms'])} on {last['day']}"
    )
    return Trend(median=line("p50_ms"), most=line("p95_ms"), text=text)


def _date(day: date | str) -> date:
    return date.fromisoformat(day) if isinstance(day, str) else day
