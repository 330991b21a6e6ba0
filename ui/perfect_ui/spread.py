"""A duration against what is usual: one small bar with the band mean ± σ, a line at the mean, and a mark at the value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perfect_ui.formats import duration, number

WIDTH = 120.0
EDGE = 3.0  # so that a mark at either end is not cut off
LEAST_SAMPLES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Places in a box WIDTH wide. low, high: ends of the band; text: the same in words."""

    low: float
    high: float
    mean: float
    at: float | None
    tone: str
    text: str


def spread(value_ms: float | None, history: dict[str, Any] | None) -> Spread | None:
    """None when there are too few samples to know what is usual. `history`: a statistic of the API."""
    if history is None or history["sample_count"] < LEAST_SAMPLES:
        return None
    mean, std, count = history["avg_duration_ms"], history["std_dev_ms"] or 0.0, history["sample_count"]
    longest = max(mean + 2 * std, value_ms or 0.0, 1.0)

    def place(ms: float) -> float:
        return round(EDGE + (WIDTH - 2 * EDGE) * min(max(ms, 0.0), longest) / longest, 1)

    text = f"usually {duration(mean)} ± {duration(std)}, {number(count)} times"
    return Spread(
        low=place(mean - std),
        high=place(mean + std),
        mean=place(mean),
        at=None if value_ms is None else place(value_ms),
        tone=_tone(value_ms, mean, std),
        text=f"{text}; {_deviation(value_ms, mean, std)}" if value_ms is not None and std else text,
    )


def _tone(value_ms: float | None, mean: float, std: float) -> str:
    if value_ms is None or not std or value_ms <= mean + 2 * std:
        return "run"
    return "warn" if value_ms <= mean + 4 * std else "bad"


def _deviation(value_ms: float, mean: float, std: float) -> str:
    """How many standard deviations it is away: `1.2σ slower`."""
    sigmas = (value_ms - mean) / std
    return f"{abs(sigmas):.1f}σ {'slower' if sigmas > 0 else 'faster'}"
