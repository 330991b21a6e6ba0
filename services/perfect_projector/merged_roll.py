"""The roll-ups of tasks and flows over their days: what is past is merged once and kept, today is added to it.

What is kept is used as long as the file says, in the same transaction, that nothing was added to those days since.
"""

import threading
from bisect import bisect_left
from collections import OrderedDict
from copy import copy
from datetime import date
from itertools import accumulate
from typing import Any, Literal

import msgspec

from perfect_projector.batch import Row
from perfect_projector.rollup import GROWTH
from perfect_projector.sql import select
from perfect_projector.welford import Summary, merge
from perfect_schemas.views import Distribution

Cursor = Any
Where = dict[str, Any]
By = Literal["configuration", "flow_version", "day"] | None
Percentiles = tuple[float | None, float | None, float | None]
_PARTS = {"day": 9, "configuration": 11, "flow_version": 12}  # places in a row of `rolled_days`
MOST_MEASURES = 20_000
_decode_buckets = msgspec.json.Decoder(dict[int, int]).decode


class MergedRoll:
    """One measure of a task or flow, or of a part of it. summary: of all days. buckets: those of the days from `since` on.
    last_day: of any. is_ours: nobody else has it, it may be added to.
    """

    __slots__ = (
        "_percentiles",
        "buckets",
        "flow_name",
        "id",
        "is_ours",
        "last_day",
        "part",
        "summary",
        "task_name",
    )

    def __init__(self, row: Row, part: str) -> None:
        """The first row of the statement `rolled_days` that is to be added."""
        self.id, _, self.flow_name, self.task_name = row[:4]
        self.part = part
        self.summary = Summary()
        self.buckets: dict[int, int] = {}
        self.last_day: date = row[9]
        self.is_ours = True
        self._percentiles: Percentiles | None = None

    def copy(self) -> "MergedRoll":
        new = copy(self)
        new.buckets = self.buckets.copy()
        new.is_ours = True
        return new

    def keep(self) -> None:
        """Nothing is added to it any more."""
        self.is_ours = False
        self._percentiles = self.percentiles()

    def add(self, row: Row, since: date) -> None:
        """A row of the statement `rolled_days`."""
        mean, m2, count, least, greatest, day, buckets = row[4:11]
        self._percentiles = None
        self.last_day = max(self.last_day, day)
        self.summary = merge(self.summary, Summary(count, mean, m2, least, greatest))
        if day >= since:
            held = self.buckets
            for place, n in _decode_buckets(buckets).items():
                held[place] = held.get(place, 0) + n

    def percentiles(self) -> Percentiles:
        """p50, p95, p99: the middle of the bucket that each falls into, as far as it was measured at all."""
        if self._percentiles is not None:
            return self._percentiles
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


Known = dict[tuple[str, str, str], MergedRoll]  # by id, measure and part


class MergedRolls:
    """Used by all readers. A day is UTC."""

    def __init__(self) -> None:
        self._past: OrderedDict[tuple[Any, ...], tuple[Row, Known]] = OrderedDict()
        self._lock = threading.Lock()

    def all(
        self,
        cursor: Cursor,
        where: Where,
        since: date,
        today: date,
        *,
        by: By = None,
        begin: date | None = None,
    ) -> Known:
        """where: conditions of `rolled_days`. since: first day of the percentiles. by: what the parts are.
        begin: first day of all, None when there is none.
        """
        if begin is not None:
            where = {**where, "begin": {"begin": begin}}
        known = dict(self._past_of(cursor, where, since, today, by))
        now = {**where, "from": {"from": today}}
        for row in select(cursor, "rolled_days", now, conditions="rolled"):
            key = row[0], row[1], _part(row, by)
            past = known.get(key)
            if past is None:
                known[key] = MergedRoll(row, key[2])
            elif not past.is_ours:
                known[key] = past.copy()
            known[key].add(row, since)
        return known

    def _past_of(self, cursor: Cursor, where: Where, since: date, today: date, by: By) -> Known:
        """What was before today."""
        where = {**where, "before": {"before": today}}
        (version,) = select(cursor, "rolled_version", where, conditions="rolled")
        place = str(where), since, by
        with self._lock:
            held = self._past.get(place)
            if held is not None and held[0] == version:
                self._past.move_to_end(place)
                return held[1]
        known: Known = {}
        for row in select(cursor, "rolled_days", where, conditions="rolled"):
            key = row[0], row[1], _part(row, by)
            roll = known.get(key)
            if roll is None:
                roll = known[key] = MergedRoll(row, key[2])
            roll.add(row, since)
        for roll in known.values():
            roll.keep()
            if by == "day":  # no other day is ever added to it
                roll.buckets = {}
        with self._lock:
            self._past[place] = version, known
            while len(self._past) > 1 and sum(len(one) for _, one in self._past.values()) > MOST_MEASURES:
                self._past.popitem(last=False)
        return known


def _part(row: Row, by: By) -> str:
    return "" if by is None else str(row[_PARTS[by]])
