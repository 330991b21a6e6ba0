"""The statistics of each day: of a task or flow, apart by configuration and flow version.

Each roll-up is a Welford summary and a histogram with buckets that grow by 2 %, so that days can be merged and any
percentile of them is known within 1 % (C. Masson, J. E. Rim, H. K. Lee: DDSketch, VLDB 2019). A day is that of the
completion, UTC, by the clock of whoever completed.

Held are those that were touched lately; what else a batch adds to is named by `missing` and given to `restore` first.
"""

import math
from collections.abc import Iterable
from datetime import date
from typing import Any, Literal, NamedTuple

import msgspec

from perfect_projector.batch import Decoded, Row
from perfect_projector.held import Entry
from perfect_projector.values import text
from perfect_schemas.events import RunCompleted, RunScheduled, TaskCompleted

GROWTH = 1.02
MOST_HELD = 20_000
_PER_BUCKET = 1 / math.log(GROWTH)

Measure = Literal["run", "queued", "launch", "eta_start", "eta_half", "eta_within"]
Pair = tuple[str, date]
_decode_buckets = msgspec.json.Decoder(dict[int, int]).decode


class Key(NamedTuple):
    """id: of the task or flow. measure: what was measured: `run`, `queued` and `launch` are durations in ms, the
    `eta_…` percentages, see `forecast.errors`.
    """

    id: str
    measure: Measure
    day: date
    configuration: str
    flow_version: str


class Whose(NamedTuple):
    flow_id: str
    flow_name: str
    task_name: str | None


def bucket(value: float) -> int:
    """0 for what is below 1; bucket n holds [1.02ⁿ⁻¹, 1.02ⁿ)."""
    return 0 if value < 1 else 1 + math.floor(math.log(value) * _PER_BUCKET)


class Roll:
    """touched: the number of the batch that added to it last. The others are those of `welford.Summary`, in place:
    this is done for every completion.
    """

    __slots__ = (
        "buckets",
        "count",
        "is_stored",
        "last_seq",
        "m2",
        "max",
        "mean",
        "min",
        "touched",
        "whose",
    )

    def __init__(self, whose: Whose) -> None:
        self.whose = whose
        self.count = 0
        self.mean = 0.0
        self.m2 = 0.0
        self.min = math.inf
        self.max = -math.inf
        self.buckets: dict[int, int] = {}
        self.last_seq = 0
        self.is_stored = False
        self.touched = 0

    def add(self, value: float) -> None:
        """As `welford.add`."""
        self.count = count = self.count + 1
        delta = value - self.mean
        self.mean = mean = self.mean + delta / count
        self.m2 += delta * (value - mean)
        self.min = min(self.min, value)
        self.max = max(self.max, value)


class Rolls:
    def __init__(self) -> None:
        self.rolls: dict[Key, Roll] = {}
        self._pairs: set[Pair] = set()
        self._changed: set[Key] = set()

    def missing(self, decoded: Decoded, entries: dict[str, Entry]) -> list[Pair]:
        """The tasks and flows, with the day, that this batch may add to and that are not held."""
        wanted: set[Pair] = set()
        begun: dict[str, str] = {}  # in this very batch: run id → flow id
        for message, event in decoded:
            kind = type(event)
            if kind is TaskCompleted:
                wanted.add((event.task_id, event.at.date()))  # type: ignore[union-attr]
            elif kind is RunScheduled:
                begun[event.run_id or ""] = event.flow_id  # type: ignore[union-attr]
            elif kind is RunCompleted:
                run_id = message.subject.rpartition(".")[2]
                entry = entries.get(run_id)
                run = entry.history.run if entry is not None else None
                flow_id = run.flow_id if run is not None else begun.get(run_id)
                if flow_id is not None:
                    wanted.add((flow_id, event.at.date()))  # type: ignore[union-attr]
        return list(wanted - self._pairs)

    def restore(self, pairs: Iterable[Pair], rows: Iterable[Row]) -> None:
        """rows: all that the file has of the pairs."""
        self._pairs.update(pairs)
        for row in rows:
            key, roll = _of(row)
            self.rolls[key] = roll

    def add(
        self, key: Key, value: float, *, whose: tuple[str, str, str | None], seq: int, batch: int
    ) -> None:
        """whose: as in `Whose`."""
        roll = self.rolls.get(key)
        if roll is None:
            roll = self.rolls[key] = Roll(Whose(*whose))
            self._pairs.add((key.id, key.day))
        roll.add(value)
        place = bucket(value)
        roll.buckets[place] = roll.buckets.get(place, 0) + 1
        roll.last_seq = seq
        roll.touched = batch
        self._changed.add(key)

    def take_rows(self) -> tuple[list[Row], list[Row]]:
        """The rows of what changed since the last call: those that are new in the file, and those that are not."""
        new: list[Row] = []
        old: list[Row] = []
        for key in self._changed:
            roll = self.rolls[key]
            (old if roll.is_stored else new).append(_row(key, roll))
            roll.is_stored = True
        self._changed.clear()
        return new, old

    def forget(self, before: int) -> None:
        """Above a limit: let go of what no batch since `before` has touched. It is in the file."""
        if len(self.rolls) <= MOST_HELD:
            return
        keep = {(key.id, key.day) for key, roll in self.rolls.items() if roll.touched >= before}
        self.rolls = {key: roll for key, roll in self.rolls.items() if (key.id, key.day) in keep}
        self._pairs = keep


def _row(key: Key, roll: Roll) -> Row:
    """In the order of the columns in `insert_daily_statistics` and `load_daily_statistics`."""
    return (
        *key,
        *roll.whose,
        roll.mean,
        roll.m2,
        roll.count,
        roll.min,
        roll.max,
        text(roll.buckets),
        roll.last_seq,
    )


def _of(row: tuple[Any, ...]) -> tuple[Key, Roll]:
    roll = Roll(Whose(*row[5:8]))
    roll.mean, roll.m2, roll.count, roll.min, roll.max, buckets, roll.last_seq = row[8:]
    roll.buckets = _decode_buckets(buckets)
    roll.is_stored = True
    return Key(*row[:5]), roll
