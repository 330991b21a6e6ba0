"""The chart of a query's result: lines over the first time column, bars over the first text column.

Sizes are parts of a thousand of the plot, which stretches to its place; labels stand at percentages, so they do not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from perfect_ui.result import is_number, is_time

SIZE = 1000
MOST_SERIES = 6
MOST_BARS = 40
MOST_POINTS = 2000
TICKS = 4
LABELS = 6
_GAP = 0.28


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """at: percent, from the left or from the top."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """points: of an SVG polyline."""

    name: str
    points: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """title: one sentence for who does not see it."""

    title: str
    series: list[Series]
    bars: list[Bar]
    rows: list[Tick]
    columns: list[Tick]


def chart(columns: list[str], types: list[str], rows: list[list[Any]]) -> Chart | None:
    """None when there is nothing to draw: fewer than two rows, or no number, or nothing to draw it over."""
    numbers = [n for n, kind in enumerate(types) if is_number(kind)]
    times = [n for n, kind in enumerate(types) if is_time(kind)]
    texts = [n for n, kind in enumerate(types) if kind == "VARCHAR"]
    if len(rows) < 2 or not numbers:
        return None
    if times and (drawn := _lines(columns, rows[:MOST_POINTS], times[0], numbers, texts)) is not None:
        return drawn
    if texts:
        return _bars(columns, rows[:MOST_BARS], texts[0], numbers[0])
    return None


def _lines(
    columns: list[str], rows: list[list[Any]], time: int, numbers: list[int], texts: list[int]
) -> Chart | None:
    points: dict[str, list[tuple[float, float]]] = {}
    names = {row[texts[0]] for row in rows} if texts else set()
    apart = 1 < len(names) <= MOST_SERIES
    for row in rows:
        at = _seconds(row[time])
        if at is None:
            continue
        for number in numbers[:1] if apart else numbers[:3]:
            value = _finite(row[number])
            if value is not None:
                name = str(row[texts[0]]) if apart else columns[number]
                points.setdefault(name, []).append((at, value))
    everything = [point for line in points.values() for point in line]
    if len({at for at, _ in everything}) < 2:
        return None
    first, last = min(at for at, _ in everything), max(at for at, _ in everything)
    low, high, ticks = scale(
        min(0.0, *(value for _, value in everything)), max(value for _, value in everything)
    )
    series = [
        Series(
            name=name,
            points=" ".join(
                f"{SIZE * (at - first) / (last - first):.1f},{SIZE * (high - value) / (high - low):.1f}"
                for at, value in sorted(line)
            ),
        )
        for name, line in points.items()
    ]
    what = columns[numbers[0]] if apart else ", ".join(points)
    return Chart(
        title=f"{what} over {columns[time]}",
        series=series,
        bars=[],
        rows=ticks,
        columns=[
            Tick(
                at=100 * n / (LABELS - 1),
                label=_time_label(first + (last - first) * n / (LABELS - 1), last - first),
            )
            for n in range(LABELS)
        ],
    )


def _bars(columns: list[str], rows: list[list[Any]], text: int, number: int) -> Chart | None:
    found = [(str(row[text]), value) for row in rows if (value := _finite(row[number])) is not None]
    if len(found) < 2:
        return None
    low, high, ticks = scale(
        min(0.0, *(value for _, value in found)), max(0.0, *(value for _, value in found))
    )
    pitch = SIZE / len(found)
    zero = SIZE * high / (high - low)
    bars = []
    for n, (name, value) in enumerate(found):
        top = SIZE * (high - value) / (high - low)
        bars.append(
            Bar(
                x=round((n + _GAP / 2) * pitch, 1),
                y=round(min(top, zero), 1),
                width=round(pitch * (1 - _GAP), 1),
                height=round(abs(zero - top), 1),
                title=f"{name}: {value:,.6g}",
            )
        )
    every = math.ceil(len(found) / 8)
    labels = [
        Tick(at=round((n + 0.5) * 100 / len(found), 2), label=name if len(name) <= 14 else f"{name[:13]}…")
        for n, (name, _) in enumerate(found)
        if n % every == 0
    ]
    title = f"{columns[number]} by {columns[text]}"
    return Chart(title=title, series=[], bars=bars, rows=ticks, columns=labels)


def scale(low: float, high: float) -> tuple[float, float, list[Tick]]:
    """Round numbers around the values, and where their lines stand."""
    if high <= low:
        high = low + 1
    rough = (high - low) / TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough * 0.999)
    bottom, top = math.floor(low / step) * step, math.ceil(high / step) * step
    count = round((top - bottom) / step)
    ticks = [
        Tick(at=round(100 * (1 - n / count), 2), label=f"{bottom + n * step:,.6g}") for n in range(count + 1)
    ]
    return bottom, top, ticks


def _seconds(value: Any) -> float | None:
    try:
        parsed = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return (
        parsed.timestamp()
        if parsed.tzinfo
        else (parsed - datetime.combine(date(1970, 1, 1), datetime.min.time())).total_seconds()
    )


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _time_label(seconds: float, span: float) -> str:
    from datetime import UTC

    moment = datetime.fromtimestamp(seconds, UTC)
    if span < 600:
        return f"{moment:%H:%M:%S}"
    if span < 2 * 86400:
        return f"{moment:%H:%M}"
    return f"{moment:%Y-%m-%d}" if span > 300 * 86400 else f"{moment:%d %b}"
