"""Statistics of whole numbers in any order: sums without rounding, so that those of several processes can be added up.

Mean and m2 follow from the sums exactly; Welford's, made one by one as live, agree with them far within 1e-9.
"""

from collections import Counter
from datetime import date, datetime
from operator import itemgetter, mul

from perfect_projector.rollup import Key, Measure, Roll, Whose, bucket
from perfect_projector.welford import Summary

Sample = tuple[int, int, datetime, str, str, str | None]
"""Sequence, value, when it was said, and whose it is (see `Whose`)."""

PlainKey = tuple[str, Measure, date, str, str]
"""A `Key`, faster made."""
Samples = dict[PlainKey, list[Sample]]

_MOST_KNOWN = 100_000
_buckets: dict[float, int] = {}


def _bucket(value: float) -> int:
    """As `rollup.bucket`, for one that was not met before."""
    if len(_buckets) >= _MOST_KNOWN:
        _buckets.clear()
    found = _buckets[value] = bucket(value)
    return found


class Tally:
    """buckets: bucket → [how many, sequence of the first]. first_seq, last_seq: of what it holds; last_at: when the last
    one was said.
    """

    __slots__ = (
        "buckets", "count", "first_seq", "greatest", "last_at", "last_seq", "least", "squares", "total", "whose",
    )  # fmt: skip

    def __init__(self, whose: Whose, value: int, at: datetime, seq: int) -> None:
        self.whose = whose
        self.count = 1
        self.total = value
        self.squares = value * value
        self.least = self.greatest = value
        self.first_seq = self.last_seq = seq
        self.last_at = at
        self.buckets = {_bucket(value): [1, seq]}

    @classmethod
    def of(cls, samples: list[Sample]) -> "Tally":
        """All of them at once, one at least: in a quarter of the time that `add` takes for each."""
        samples.sort(key=itemgetter(0))
        seqs, values, ats, *_ = zip(*samples, strict=True)
        one = cls(Whose(*samples[0][3:]), values[0], ats[-1], seqs[0])
        one.count = len(values)
        one.total = sum(values)
        one.squares = sum(map(mul, values, values))
        one.least, one.greatest = min(values), max(values)
        one.last_seq = seqs[-1]
        firsts = dict(zip(reversed(values), reversed(seqs), strict=True))
        one.buckets = buckets = {}
        for value, count in Counter(values).items():
            place, seq = _buckets.get(value), firsts[value]
            if place is None:
                place = _bucket(value)
            found = buckets.get(place)
            if found is None:
                buckets[place] = [count, seq]
            else:
                found[0] += count
                found[1] = min(found[1], seq)
        return one

    def add(self, value: int, at: datetime, seq: int) -> None:
        self.count += 1
        self.total += value
        self.squares += value * value
        if value < self.least:
            self.least = value
        elif value > self.greatest:
            self.greatest = value
        if seq > self.last_seq:
            self.last_seq = seq
            self.last_at = at
        elif seq < self.first_seq:
            self.first_seq = seq
        place = _buckets.get(value)
        if place is None:
            place = _bucket(value)
        found = self.buckets.get(place)
        if found is None:
            self.buckets[place] = [1, seq]
        else:
            found[0] += 1
            found[1] = min(found[1], seq)

    def join(self, other: "Tally") -> None:
        if other.first_seq < self.first_seq:
            self.first_seq, self.whose = other.first_seq, other.whose
        if other.last_seq > self.last_seq:
            self.last_seq, self.last_at = other.last_seq, other.last_at
        self.count += other.count
        self.total += other.total
        self.squares += other.squares
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)
        for place, (count, seq) in other.buckets.items():
            found = self.buckets.get(place)
            if found is None:
                self.buckets[place] = [count, seq]
            else:
                found[0] += count
                found[1] = min(found[1], seq)

    def copy(self) -> "Tally":
        new = Tally.__new__(Tally)
        for name in Tally.__slots__:
            setattr(new, name, getattr(self, name))
        new.buckets = {place: list(found) for place, found in self.buckets.items()}
        return new

    @property
    def summary(self) -> Summary:
        count, total = self.count, self.total
        m2 = (count * self.squares - total * total) / count
        return Summary(count, total / count, m2, self.least, self.greatest)

    @property
    def roll(self) -> Roll:
        """As it is made one by one: its buckets in the order in which they were met."""
        roll, summary = Roll(self.whose), self.summary
        roll.count, roll.mean, roll.m2 = summary.count, summary.mean, summary.m2
        roll.min, roll.max = summary.min, summary.max
        met = sorted((seq, place, count) for place, (count, seq) in self.buckets.items())
        roll.buckets = {place: count for _, place, count in met}
        roll.last_seq = self.last_seq
        return roll


Tallies = dict[PlainKey, Tally]


def join(tallies: dict[Key, Tally], others: Tallies) -> None:
    """Add `others`, which are not to be used any more."""
    for plain, other in others.items():
        key = Key(*plain)
        tally = tallies.get(key)
        if tally is None:
            tallies[key] = other
        else:
            tally.join(other)
