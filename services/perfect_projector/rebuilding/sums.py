"""The statistics of a rebuild: those of whole numbers as sums, whoever counted them; those of forecasts as live."""

from datetime import UTC, datetime
from typing import Any

from perfect_projector.batch import Batch
from perfect_projector.completion import Completions
from perfect_projector.forecast import Curves, Error
from perfect_projector.outlier import Finding
from perfect_projector.rebuilding import tally
from perfect_projector.rebuilding.share import Of
from perfect_projector.rebuilding.tally import Tallies, Tally
from perfect_projector.rollup import Key, Roll, Rolls, Whose, bucket
from perfect_projector.statistic import Book, Statistic
from perfect_projector.welford import EMPTY, Summary

_NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)
_SUMMED = frozenset({"run", "queued", "launch"})


class _Rolls(Rolls):
    def __init__(self) -> None:
        super().__init__()
        self.tallies: dict[Key, Tally] = {}

    def add(self, key: Key, value: float, *, whose: Whose, seq: int, batch: int) -> None:
        if key.measure in _SUMMED:
            one = self.tallies.get(key)
            if one is None:
                self.tallies[key] = Tally(whose, value, _NO_TIME, seq)  # type: ignore[arg-type]
            else:
                one.add(value, _NO_TIME, seq)  # type: ignore[arg-type]
        else:
            super().add(key, value, whose=whose, seq=seq, batch=batch)

    def settle(self) -> None:
        """The tallies become roll-ups."""
        for key, one in self.tallies.items():
            self.rolls[key] = one.roll
            self._changed.add(key)


class _Book(Book):
    """last: id → sequence and time of the last completion that was observed here. Nothing is judged: the warnings stand in
    the log.
    """

    def __init__(self) -> None:
        super().__init__()
        self.last: dict[str, tuple[int, datetime]] = {}

    def observe(self, key: str, *, at: datetime, seq: int, **_: Any) -> tuple[Finding | None, Summary]:
        self.last[key] = (seq, at)
        return None, EMPTY


class Sums(Completions):
    def __init__(self, curves: Curves) -> None:
        super().__init__(_Book())
        self.book: _Book
        self.rolls: _Rolls = _Rolls()
        self.curves = curves
        self._off: dict[Of, dict[Error, Roll]] = {}

    def off(self, of: Of, errors: dict[Error, float], seq: int) -> None:
        """How far the forecasts of a run were off."""
        rolls = self._off.get(of)
        if rolls is None:
            rolls = self._off[of] = {}
        for measure, value in errors.items():
            roll = rolls.get(measure)
            if roll is None:
                key = Key(of.flow_id, measure, of.day, of.configuration, of.flow_version)
                whose = Whose(of.flow_id, of.flow_name, None)
                self.rolls.add(key, value, whose=whose, seq=seq, batch=0)
                rolls[measure] = self.rolls.rolls[key]
                continue
            roll.add(value)
            place = bucket(value)
            roll.buckets[place] = roll.buckets.get(place, 0) + 1
            roll.last_seq = seq

    def join(self, tallies: Tallies) -> None:
        tally.join(self.rolls.tallies, tallies)

    def take_rows(self, batch: Batch) -> None:
        """All of them, into `batch`: once, at the end."""
        whole: dict[str, Tally] = {}
        for key, one in self.rolls.tallies.items():
            if key.measure == "run":
                if key.id in whole:
                    whole[key.id].join(one)
                else:
                    whole[key.id] = one.copy()
        book = self.book
        for name, one in whole.items():
            seq, at = book.last.get(name, (0, _NO_TIME))
            if one.last_seq > seq:
                seq, at = one.last_seq, one.last_at
            flow_id, flow_name, task_name = one.whose
            book.statistics[name] = Statistic(name, flow_id, flow_name, task_name, one.summary, at, seq)
            book.changed.add(name)
        book.take_rows(batch, self.curves)
        self.rolls.settle()
        batch.new_daily_statistics, batch.daily_statistics = self.rolls.take_rows()
