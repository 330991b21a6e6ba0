"""Mean and variance of a series, one sample at a time (B. P. Welford, Technometrics 4(3), 1962), and the merge of two
such summaries (T. F. Chan, G. H. Golub, R. J. LeVeque, 1979).
"""

import math

import msgspec


class Summary(msgspec.Struct, frozen=True):
    """count samples with their mean; m2 is the sum of the squared differences from the mean."""

    count: int = 0
    mean: float = 0.0
    m2: float = 0.0
    min: float = math.inf
    max: float = -math.inf

    @property
    def std(self) -> float | None:
        """The sample standard deviation (n − 1), None below two samples."""
        return math.sqrt(self.m2 / (self.count - 1)) if self.count > 1 else None


EMPTY = Summary()


def add(summary: Summary, sample: float) -> Summary:
    count = summary.count + 1
    delta = sample - summary.mean
    mean = summary.mean + delta / count
    return Summary(
        count,
        mean,
        summary.m2 + delta * (sample - mean),
        min(summary.min, sample),
        max(summary.max, sample),
    )


def merge(left: Summary, right: Summary) -> Summary:
    """The summary of both series together. Adding the samples one by one gives the same within 1e-9."""
    if left.count == 0:
        return right
    if right.count == 0:
        return left
    count = left.count + right.count
    delta = right.mean - left.mean
    return Summary(
        count,
        left.mean + delta * right.count / count,
        left.m2 + right.m2 + delta * delta * left.count * right.count / count,
        min(left.min, right.min),
        max(left.max, right.max),
    )
