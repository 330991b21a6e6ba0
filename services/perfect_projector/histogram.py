"""The fine buckets of the roll-ups as the bars of a histogram. Pure."""

from perfect_projector.rollup import GROWTH
from perfect_schemas.charts import HistogramBar

MOST_BARS = 36


def bars(buckets: dict[int, int], most: int = MOST_BARS) -> list[HistogramBar]:
    """buckets: as in `rollup.bucket`. At most `most` bars, without a gap from the first that is not empty to the last."""
    if not buckets:
        return []
    first, last = min(buckets), max(buckets)
    wide = -(-(last - first + 1) // most)
    counts = [0] * ((last - first) // wide + 1)
    for place, count in buckets.items():
        counts[(place - first) // wide] += count
    return [
        HistogramBar(
            low_ms=_edge(first + n * wide - 1), high_ms=_edge(first + (n + 1) * wide - 1), count=count
        )
        for n, count in enumerate(counts)
    ]


def _edge(bucket: int) -> float:
    """Where a bucket ends."""
    return 0.0 if bucket < 0 else GROWTH**bucket
