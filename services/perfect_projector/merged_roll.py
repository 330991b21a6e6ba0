"""The roll-ups of tasks and flows over all their days: what is past is merged once and kept, today is added to it.

What is kept is used as long as the file says, in the same transaction, that nothing was added to those days since.
"""

import threading
from bisect import bisect_left
from collections import OrderedDict
from datetime import date
from itertools import accumulate
from typing import Any

import msgspec

from perfect_projector.batch import Row
from perfect_projector.rollup import GROWTH
from perfect_projector.sql import select
from perfect_projector.welford import Summary, merge
from perfect_schemas.views import Distribution

Cursor = Any
Where = dict[str, Any]
MOST_MEASURES = 20_000
_decode_buckets = msgspec.json.Decoder(dict[int, int]).decode


class MergedRoll:
    """One measure of a task or flow. summary: of all days. buckets: those of the days from `since` on.
    is_ours: nobody else has it, it may be added to.
    """

    __slots__ = ("buckets", "flow_name", "id", "is_ours", "measure", "summary", "task_name")

    def __init__(self, key: str, measure: str, flow_name: str, task_name: str | None) -> None:
        self.id = key
        self.measure = measure
        self.flow_name = flow_name
        self.task_name = task_name
        self.summary = Summary()
        self.buckets: dict[int, int] = {}
        self.is_ours = True

    def copy(self) -> "MergedRoll":
        new = MergedRoll(self.id, self.measure, self.flow_name, self.task_name)
        new.summary, new.buckets = self.summary, self.buckets.copy()
        return new

    def add(self, row: Row, since: date) -> None:
        """A row of the statement `rolled_days`."""
        mean, m2, count, least, greatest, day, buckets = row[4:]
        self.summary = merge(self.summary, Summary(count, mean, m2, least, greatest))
        if day >= since:
            held = self.buckets
            for place, n in _decode_buckets(buckets).items():
                held[place] = held.get(place, 0) + n

    def percentiles(self) -> tuple[float | None, float | None, float | None]:
        """p50, p95, p99: the middle of the bucket that each falls into, as far as it was measured at all."""
        if not self.buckets:
            return None, None, None
        places = sorted(self.buckets)
        ranks = list(accumulate(self.buckets[place] for place in places))
        p50, p95, p99 = (
            self._value(places[bisect_left(ranks, -(-ranks[-1] * percent // 100))])
            for percent in (50, 95, 99)
        )
        return p50, p95, p99

    def _value(self, place: int) -> float:
        middle = GROWTH ** (place - 0.5) if place else 0.0
        return min(max(middle, self.summary.min), self.summary.max)

    def distribution(self) -> Distribution:
        summary = self.summary
        p50, p95, p99 = self.percentiles()
        return Distribution(
            sample_count=summary.count,
            avg_ms=summary.mean,
            min_ms=summary.min,
            max_ms=summary.max,
            std_dev_ms=summary.std,
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
        )


Known = dict[tuple[str, str], MergedRoll]  # by id and measure


class MergedRolls:
    """Used by all readers. A day is UTC."""

    def __init__(self) -> None:
        self._past: OrderedDict[tuple[str, date, date], tuple[Row, Known]] = OrderedDict()
        self._lock = threading.Lock()

    def all(self, cursor: Cursor, flow: Where, since: date, today: date) -> Known:
        """Of one flow, or of every one. flow: the condition on it. since: first day of the percentiles."""
        known = dict(self._until(cursor, flow, since, today))
        for row in select(cursor, "rolled_days", {**flow, "from": {"from": today}}, conditions="rolled"):
            key = row[0], row[1]
            past = known.get(key)
            if past is None:
                known[key] = MergedRoll(*row[:4])
            elif not past.is_ours:
                known[key] = past.copy()
            known[key].add(row, since)
        return known

    def _until(self, cursor: Cursor, flow: Where, since: date, today: date) -> Known:
        where = {**flow, "before": {"before": today}}
        (version,) = select(cursor, "rolled_version", where, conditions="rolled")
        place = str(flow), since, today
        with self._lock:
            held = self._past.get(place)
            if held is not None and held[0] == version:
                self._past.move_to_end(place)
                return held[1]
        known: Known = {}
        for row in select(cursor, "rolled_days", where, conditions="rolled"):
            roll = known.get((row[0], row[1]))
            if roll is None:
                roll = known[row[0], row[1]] = MergedRoll(*row[:4])
            roll.add(row, since)
        for roll in known.values():
            roll.is_ours = False
        with self._lock:
            self._past[place] = version, known
            while len(self._past) > 1 and sum(len(one) for _, one in self._past.values()) > MOST_MEASURES:
                self._past.popitem(last=False)
        return known
