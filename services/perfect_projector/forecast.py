"""What was forecast of one run, made from the events alone, so that it can be held against how long the run took.

Two forecasts are kept: of its first start, and of when it reached half of its progress.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from perfect_schemas.forecast import (
    MEDIAN,
    MOST_RUNS,
    NEARLY_ALL,
    STEPS,
    Curve,
    curve_of,
    quantile,
    remaining,
)

HALF = STEPS // 2


class Guess(msgspec.Struct, frozen=True):
    """Of the whole duration, ms: as likely longer as shorter, and with 90 %."""

    p50: int
    p90: int


class Forecast(msgspec.Struct, omit_defaults=True):
    """marks: how long the run had executed when it reached each tenth of its progress, ms."""

    start: Guess | None = None
    half: Guess | None = None
    marks: list[int] = []


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


def errors(forecast: Forecast, duration_ms: int) -> dict[str, float]:
    """How far each forecast was off, in percent of what the run took, and whether it was done when nine of ten
    should be: 100 or 0, so that the mean is the share.
    """
    found: dict[str, float] = {}
    for name, guess in (("start", forecast.start), ("half", forecast.half)):
        if guess is not None:
            found[f"eta_{name}"] = abs(guess.p50 - duration_ms) / max(duration_ms, 1) * 100
    if forecast.start is not None:
        found["eta_within"] = 100.0 if duration_ms <= forecast.start.p90 else 0.0
    return found
