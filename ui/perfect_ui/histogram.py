"""How durations are distributed: bars that are equally wide by the logarithm of the time.

Sizes are parts of a thousand of the plot, as in `chart`; labels stand at percentages.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from perfect_ui.chart import SIZE, Bar, Tick, scale
from perfect_ui.formats import duration, number

LABELS = 6
_GAP = 0.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """mean: where it stands, None when it is outside. text: the same in one sentence."""

    bars: list[Bar]
    rows: list[Tick]
    columns: list[Tick]
    mean: float | None
    text: str


def histogram(bars: list[dict[str, Any]], mean_ms: float | None = None) -> Histogram | None:
    """`bars`: of `GET /api/statistics/tasks/{id}`, without gaps. None when nothing was counted."""
    total = sum(bar["count"] for bar in bars)
    if not total:
        return None
    _, high, rows = scale(0.0, float(max(bar["count"] for bar in bars)))
    pitch = SIZE / len(bars)
    drawn = [
        Bar(
            x=round((n + _GAP / 2) * pitch, 1),
            y=round(SIZE * (1 - bar["count"] / high), 1),
            width=round(pitch * (1 - _GAP), 1),
            height=round(SIZE * bar["count"] / high, 1),
            title=f"{duration(bar['low_ms'])} to {duration(bar['high_ms'])}: {number(bar['count'])}",
        )
        for n, bar in enumerate(bars)
    ]
    most = max(bars, key=lambda bar: bar["count"])
    text = (
        f"{number(total)} in all; most often {duration(most['low_ms'])} to {duration(most['high_ms'])}, "
        f"{number(most['count'])} times"
    )
    return Histogram(bars=drawn, rows=rows, columns=_labels(bars), mean=_place(bars, mean_ms), text=text)


def _labels(bars: list[dict[str, Any]]) -> list[Tick]:
    """At edges of bars, the first and the last among them; the same text stands there once."""
    edges = [bars[0]["low_ms"], *(bar["high_ms"] for bar in bars)]
    count = min(LABELS, len(edges))
    places = sorted({round(n * (len(edges) - 1) / (count - 1)) for n in range(count)})
    found: list[Tick] = []
    for place in places:
        label = duration(edges[place])
        if not found or found[-1].label != label:
            found.append(Tick(at=round(100 * place / len(bars), 2), label=label))
    return found


def _place(bars: list[dict[str, Any]], value: float | None) -> float | None:
    """Within its bar, in even parts: bars are narrow."""
    if value is None or not bars[0]["low_ms"] <= value < bars[-1]["high_ms"]:
        return None
    n = bisect_right([bar["low_ms"] for bar in bars], value) - 1
    low, high = bars[n]["low_ms"], bars[n]["high_ms"]
    return round(100 * (n + (value - low) / (high - low)) / len(bars), 2)
