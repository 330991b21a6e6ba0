"""What was forecast of one run, made from the events alone, so that it can be held against how long the run took.

Two forecasts are kept: of its first start, and of when it reached half of its progress.
"""

from collections import deque
from collections.abc import Iterable
from typing import Literal

import msgspec

from perfect_schemas.folds.run import RunLife
from perfect_schemas.forecast import (
    MEDIAN,
    MOST_RUNS,
    NEARLY_ALL,
    STEPS,
    Curve,
    Outlook,
    curve_of,
    outlook,
    quantile,
    remaining,
)

HALF = STEPS // 2

Error = Literal["eta_start", "eta_half", "eta_within"]


class Guess(msgspec.Struct, frozen=True):
    """Of the whole duration, ms: as likely longer as shorter, and with 90 %."""

    p50: int
    p90: int


class Forecast(msgspec.Struct, omit_defaults=True):
    """marks: how long the run had executed when it reached each tenth of its progress, ms."""

    start: Guess | None = None
    half: Guess | None = None
    marks: list[int] = []


_decode = msgspec.json.Decoder(Forecast).decode
_decode_curves = msgspec.json.Decoder(list[Curve]).decode


def curves_of(text: str | None) -> list[Curve]:
    """As they stand in the column `flow_statistics.curves`."""
    return [] if text is None else _decode_curves(text)


class Curves:
    """flow id → the curves of its last completed runs, oldest first. Only runs that count in the statistics."""

    def __init__(self) -> None:
        self.known: dict[str, deque[Curve]] = {}

    def restore(self, rows: Iterable[tuple[str, list[Curve]]]) -> None:
        self.known = {flow_id: deque(curves, MOST_RUNS) for flow_id, curves in rows}

    def of(self, flow_id: str) -> list[Curve]:
        return list(self.known.get(flow_id, ()))

    def started(self, flow_id: str, forecast: Forecast) -> None:
        forecast.start = self._guess(flow_id, 0, 0)

    def reached(self, flow_id: str, forecast: Forecast, step: int, elapsed_ms: int) -> None:
        """The run has got to the step, 1–9, perhaps past several at once."""
        for passed in range(len(forecast.marks) + 1, step + 1):
            forecast.marks.append(elapsed_ms)
            if passed == HALF:
                forecast.half = self._guess(flow_id, HALF, elapsed_ms)

    def completed(self, flow_id: str, forecast: Forecast, duration_ms: int) -> None:
        history = self.known.get(flow_id)
        if history is None:
            history = self.known[flow_id] = deque(maxlen=MOST_RUNS)
        history.append(curve_of(forecast.marks, duration_ms))

    def _guess(self, flow_id: str, step: int, elapsed_ms: int) -> Guess | None:
        left = remaining(self.known.get(flow_id, ()), step)
        if not left:
            return None
        p50, p90 = (elapsed_ms + round(quantile(left, share)) for share in (MEDIAN, NEARLY_ALL))
        return Guess(p50, p90)


def outlook_of(run: RunLife, text: str | None, curves: list[Curve]) -> Outlook | None:
    """When the run may be done, with what is kept of it as `runs.forecast`. None when it does not execute."""
    marks = [] if text is None else _decode(text).marks
    reached_ms = marks[-1] if marks else 0
    return outlook(run, len(marks), reached_ms, curves)


def errors(forecast: Forecast, duration_ms: int) -> dict[Error, float]:
    """How far each forecast was off, in percent of what the run took, and whether it was done when nine of ten
    should be: 100 or 0, so that the mean is the share.
    """
    found: dict[Error, float] = {}
    if forecast.start is not None:
        found["eta_start"] = _off(forecast.start, duration_ms)
    if forecast.half is not None:
        found["eta_half"] = _off(forecast.half, duration_ms)
    if forecast.start is not None:
        found["eta_within"] = 100.0 if duration_ms <= forecast.start.p90 else 0.0
    return found


def _off(guess: Guess, duration_ms: int) -> float:
    return abs(guess.p50 - duration_ms) / max(duration_ms, 1) * 100
