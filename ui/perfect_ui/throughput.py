"""The runs that ended in the last 24 hours as bars, an hour each: failed ones on top of those that completed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfect_ui.formats import number

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 24 * 14
HEIGHT = 72
GAP = 3
LEAST = 2.0  # so that one failed run among thousands is seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """In a box WIDTH by HEIGHT, its origin above. title: what it says, in words."""

    x: float
    width: float
    good: float
    bad: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    bars: list[Bar]
    most: int
    ended: int
    failed: int

    @property
    def failed_text(self) -> str:
        """The failure rate: `2.3 %`, `none`."""
        if not self.failed:
            return "none"
        return f"{100 * self.failed / self.ended:.1f} %"


def throughput(hours: Sequence[Sequence[int]]) -> Throughput:
    """hours: (completed, failed), the oldest first."""
    most = max((good + bad for good, bad in hours), default=0)
    width = WIDTH / max(len(hours), 1)

    def height(count: int) -> float:
        return max(LEAST, round(HEIGHT * count / most, 1)) if count else 0.0

    bars = [
        Bar(
            x=round(n * width, 2),
            width=round(width - GAP, 2),
            good=height(good),
            bad=height(bad),
            title=f"{_when(len(hours) - n)}: {number(good)} completed, {number(bad)} failed",
        )
        for n, (good, bad) in enumerate(hours)
    ]
    failed = sum(bad for _, bad in hours)
    return Throughput(bars=bars, most=most, ended=failed + sum(good for good, _ in hours), failed=failed)


def _when(hours_ago: int) -> str:
    return "the last hour" if hours_ago == 1 else f"{hours_ago} to {hours_ago - 1} hours ago"
