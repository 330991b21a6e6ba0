"""How many runs go on and have ended in the last day, counted along with each commit."""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from perfect_projector.batch import Row
from perfect_projector.project import Draft
from perfect_projector.sql import select
from perfect_projector.values import instant, timestamp
from perfect_schemas.envelope import utc_now
from perfect_schemas.states import FINAL_RUN_STATES
from perfect_schemas.views import SummaryView

SPAN = timedelta(hours=24)
HOUR = timedelta(hours=1)
MOST_KNOWN = 20_000
_FINAL = frozenset(state.value for state in FINAL_RUN_STATES)
_RUNNING = frozenset(("RUNNING", "CANCELLING"))
_Ended = tuple[bool, datetime] | None  # whether it completed (or failed), and in which minute; None: neither


class RunCounts:
    """As of the last commit that it was told of. is_whole: False when a run changed of which it is not known how it was
    counted: it has to be made anew.
    """

    def __init__(self, clients: Iterable[Row], open_runs: Iterable[Row], ended_runs: Iterable[Row]) -> None:
        """Rows of (client id, state) and of the statements `open_runs` and `run_ends`."""
        self.is_whole = True
        self._clients = dict(clients)
        self._open: dict[str, str] = dict(open_runs)
        self._known: OrderedDict[str, _Ended] = OrderedDict()
        self._ended: Counter[tuple[bool, datetime]] = Counter()
        for state, minute, count in ended_runs:
            if (ended := _ended(state, minute)) is not None:
                self._ended[ended] += count

    @classmethod
    def load(cls, cursor: Any) -> "RunCounts":
        return cls(
            ((row[0], row[6]) for row in select(cursor, "clients")),
            select(cursor, "open_runs"),
            select(cursor, "run_ends", since=timestamp(_since(utc_now()))),
        )

    def note(self, draft: Draft) -> None:
        """After the commit of the batch."""
        batch = draft.batch
        if batch.again:
            self.is_whole = False
        for row in batch.new_runs:
            self._enter(row)
        for row in batch.runs:
            if self._leave(row):
                self._enter(row)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        for row in batch.clients:
            self._clients[row[0]] = row[8]
        for key, state, *_ in batch.ended_clients:
            if key in self._clients:
                self._clients[key] = state

    def summary(self, now: datetime) -> SummaryView:
        since = _since(now)
        for ended in [ended for ended in self._ended if ended[1] < since]:
            del self._ended[ended]
        completed = sum(count for (is_completed, _), count in self._ended.items() if is_completed)
        running = sum(state in _RUNNING for state in self._open.values())
        return SummaryView(
            running=running,
            waiting=len(self._open) - running,
            completed_24h=completed,
            failed_24h=self._ended.total() - completed,
            clients=sum(state == "CONNECTED" for state in self._clients.values()),
            hours=self._hours(since),
        )

    def _hours(self, since: datetime) -> list[tuple[int, int]]:
        """(completed, failed) in each hour of the span. The minute that goes on belongs to the last."""
        hours = [[0, 0] for _ in range(SPAN // HOUR)]
        for (is_completed, minute), count in self._ended.items():
            hours[min((minute - since) // HOUR, len(hours) - 1)][not is_completed] += count
        return [(completed, failed) for completed, failed in hours]

    def _enter(self, row: Row) -> None:
        run_id, state = row[0], row[5]
        if state not in _FINAL:
            self._open[run_id] = state
            return
        ended = self._known[run_id] = _ended(state, row[9])
        if ended is not None:
            self._ended[ended] += 1

    def _leave(self, row: Row) -> bool:
        """Whether it is to be counted again."""
        run_id = row[0]
        if self._open.pop(run_id, None) is not None:
            return True
        if run_id in self._known:
            if (ended := self._known.pop(run_id)) is not None:
                self._ended[ended] -= 1
            return True
        if not _is_archived(row):
            self.is_whole = False
        return False


def _is_archived(row: Row) -> bool:
    """Of a run that ended long ago: this alone has happened to it since, and it is counted as before."""
    return row[5] in _FINAL and '"archived":true' in row[25]


def _since(now: datetime) -> datetime:
    """Whole minutes: what is counted is counted by the minute."""
    return now.astimezone(UTC).replace(second=0, microsecond=0) - SPAN


def _ended(state: str, end_time: datetime | None) -> _Ended:
    if end_time is None or state == "CANCELLED":
        return None
    minute = instant(end_time).replace(second=0, microsecond=0)  # type: ignore[union-attr]
    return state == "COMPLETED", minute
