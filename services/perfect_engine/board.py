"""The live runs, folded, with what the engine asks of them all the time kept beside: by client, flow, lane, parent.

Runs that have ended leave the board at once. Everything here follows from the events; nothing is stored.
"""

import bisect
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from perfect_engine.placement import Lane, Waiting
from perfect_engine.revival import awaited_children
from perfect_engine.slots import HOLDING
from perfect_runtime.decider import Aggregate
from perfect_schemas import subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.events import RunQueued
from perfect_schemas.folds import run as fold
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState


class Run(Aggregate[RunLife]):
    """One run's fold; tells the board of each change, by whatever way the event came. queued_id: of its last `run.queued`."""

    __slots__ = ("__weakref__", "_board", "id", "queued_id")

    def __init__(self, run_id: str, board: "Board") -> None:
        super().__init__(subjects.run(run_id), fold.evolve)
        self.id = run_id
        self.queued_id = ""
        self._board = board

    def apply(self, event: Event | UnknownEvent, seq: int) -> None:
        self.catch_up([(seq, event)])

    def catch_up(self, events: Iterable[tuple[int, Event | UnknownEvent]]) -> None:
        """Fold what has been read of its past, and tell the board where it stands now: once."""
        before = self.state
        for seq, event in events:
            if isinstance(event, RunQueued) and seq > self.seq:
                self.queued_id = event.id
            super().apply(event, seq)
        if self.state is not before:
            self._board.moved(self, before)


class Handed(NamedTuple):
    """since: monotonic seconds. client_id: of the one that it was offered to, "" for whoever takes it."""

    lane: Lane
    queued_seq: int
    since: float
    client_id: str = ""


class Ahead(NamedTuple):
    """queued_id: of the `run.queued` that was sent together with the hand-over."""

    lane: Lane
    queued_id: str
    client_id: str = ""


class Board:
    """changed(run, before): called after each change of a run's life. Quiet until `open()` is called."""

    def __init__(self, changed: Callable[[Run, RunLife | None], None]) -> None:
        self._changed = changed
        self._is_open = False
        self._known: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()
        self.runs: dict[str, Run] = {}
        self.held: dict[str, set[str]] = {}  # client id → runs that it holds, child runs included
        self.slots_taken: dict[str, int] = {}  # client id → runs that take a slot: child runs do not
        self.flows: dict[str, set[str]] = {}  # flow id → live runs
        self.running: dict[str, set[str]] = {}  # flow id → runs that somebody holds
        self.awaiting: dict[str, set[str]] = {}  # child run id → runs that are paused until it ends
        self.children: dict[str, set[str]] = {}  # run id → live child runs
        self.scheduled: dict[str, set[str]] = {}  # schedule id → live runs that it started by itself
        self.pending: dict[Lane, list[Waiting]] = {}  # queued, not handed over, in order of turn
        self.handed: dict[str, Handed] = {}  # handed over, not claimed
        self.ahead: dict[str, Ahead] = {}  # handed over, with a `run.queued` that is not heard of yet
        self.unanswered: dict[Lane, int] = {}
        self.offered: dict[str, int] = {}  # client id → runs offered to it and not claimed

    def open(self) -> None:
        self._is_open = True

    def run(self, run_id: str) -> Run:
        """The run on the board, or an empty fold of one that is not: it joins the board with its first event.

        One object a run, as long as anybody holds it: the follower and a command fold into the same.
        """
        run = self._known.get(run_id)
        if run is None:
            run = self._known[run_id] = Run(run_id, self)
        return run

    def lives(self) -> Iterator[RunLife]:
        return (run.state for run in list(self.runs.values()) if run.state is not None)

    def hand(self, lane: Lane, waiting: Waiting, client_id: str = "") -> Run | None:
        """Note that the run is handed over, to that client or to whoever takes it; None when it is not waiting any more."""
        self._drop_pending(lane, waiting)
        run = self.runs.get(waiting.run_id)
        if run is None or run.state is None or run.state.queued_seq != waiting.queued_seq:
            return None
        self.handed[waiting.run_id] = Handed(lane, waiting.queued_seq, time.monotonic(), client_id)
        self._asked(lane, client_id)
        return run

    def hand_ahead(self, run_id: str, lane: Lane, queued_id: str, client_id: str = "") -> None:
        """Note that the run is handed over, with the `run.queued` that will say that it is queued."""
        self.ahead[run_id] = Ahead(lane, queued_id, client_id)
        self._asked(lane, client_id)

    def drop_ahead(self, run_id: str) -> None:
        """That `run.queued` was not stored, as far as is known: the hand-over is worth nothing."""
        if run_id in self.ahead:
            self._no_more_asked(self.ahead.pop(run_id))

    def withdraw(self, run_id: str, queued_id: str) -> bool:
        """The client has not taken what it was offered: the run is for whoever takes it. False when it is not waiting."""
        run, ahead = self.runs.get(run_id), self.ahead.get(run_id)
        if ahead is not None and ahead.queued_id == queued_id:
            self._forget_offer(ahead.client_id)
            self.ahead[run_id] = ahead._replace(client_id="")
            return True
        handed = self.handed.get(run_id)
        if handed is None or run is None or run.queued_id != queued_id:
            return False
        self._forget_offer(handed.client_id)
        self.handed[run_id] = handed._replace(client_id="")
        return True

    def handed_of(self, flow_id: str) -> int:
        """How many of the flow's runs are handed over and not claimed."""
        return sum(count for lane, count in self.unanswered.items() if lane[1] == flow_id)

    def take_back(self, run_id: str, queued_id: str) -> None:
        """The hand-over did not get onto the bus: the run waits again."""
        run = self.runs.get(run_id)
        if run_id in self.handed and run is not None and run.queued_id == queued_id:
            self._answered(run_id)
            assert run.state is not None
            self._wait(run.state)
        elif run_id in self.ahead and self.ahead[run_id].queued_id == queued_id:
            self.drop_ahead(run_id)

    def moved(self, run: Run, before: RunLife | None) -> None:
        after = run.state
        assert after is not None
        if before is not None and not before.state.is_final:
            self._forget(before)
        if after.state.is_final:
            self.runs.pop(run.id, None)
        else:
            self.runs[run.id] = run
            self._arrive(run, after)
            self._note(after)
        if after.state is not RunState.SCHEDULED:
            self.drop_ahead(run.id)
        if self._is_open:
            self._changed(run, before)

    def _arrive(self, run: Run, life: RunLife) -> None:
        """Its `run.queued` is there, and the hand-over that was sent with it counts."""
        ahead = self.ahead.get(run.id)
        if ahead is not None and life.state is RunState.PENDING and ahead.queued_id == run.queued_id:
            del self.ahead[run.id]
            self.handed[run.id] = Handed(ahead.lane, life.queued_seq, time.monotonic(), ahead.client_id)

    def _note(self, life: RunLife) -> None:
        self.flows.setdefault(life.flow_id, set()).add(life.id)
        if life.parent_run_id is not None:
            self.children.setdefault(life.parent_run_id, set()).add(life.id)
        if life.schedule_id is not None and not life.backfill:
            self.scheduled.setdefault(life.schedule_id, set()).add(life.id)
        if life.state in HOLDING:
            self.running.setdefault(life.flow_id, set()).add(life.id)
        for child_id in awaited_children(life):
            self.awaiting.setdefault(child_id, set()).add(life.id)
        if life.state in HOLDING and life.client_id is not None:
            self.held.setdefault(life.client_id, set()).add(life.id)
            if life.origin != "child":
                self.slots_taken[life.client_id] = self.slots_taken.get(life.client_id, 0) + 1
        if life.state is RunState.PENDING and life.queued_seq == life.last_seq and life.id not in self.handed:
            self._wait(life)

    def _forget(self, life: RunLife) -> None:
        _discard(self.flows, life.flow_id, life.id)
        if life.parent_run_id is not None:
            _discard(self.children, life.parent_run_id, life.id)
        if life.schedule_id is not None and not life.backfill:
            _discard(self.scheduled, life.schedule_id, life.id)
        if life.state in HOLDING:
            _discard(self.running, life.flow_id, life.id)
        for child_id in awaited_children(life):
            _discard(self.awaiting, child_id, life.id)
        if life.state in HOLDING and life.client_id is not None:
            _discard(self.held, life.client_id, life.id)
            if life.origin != "child":
                _decrease(self.slots_taken, life.client_id)
        if life.id in self.handed:
            self._answered(life.id)
        elif life.state is RunState.PENDING and life.queued_seq == life.last_seq:
            self._drop_pending(lane_of(life), waiting_of(life))

    def _wait(self, life: RunLife) -> None:
        bisect.insort(self.pending.setdefault(lane_of(life), []), waiting_of(life))

    def _drop_pending(self, lane: Lane, waiting: Waiting) -> None:
        lane_runs = self.pending.get(lane, [])
        at = bisect.bisect_left(lane_runs, waiting)
        if at < len(lane_runs) and lane_runs[at] == waiting:
            del lane_runs[at]
            if not lane_runs:
                del self.pending[lane]

    def _answered(self, run_id: str) -> None:
        self._no_more_asked(self.handed.pop(run_id))

    def _asked(self, lane: Lane, client_id: str) -> None:
        self.unanswered[lane] = self.unanswered.get(lane, 0) + 1
        if client_id:
            self.offered[client_id] = self.offered.get(client_id, 0) + 1

    def _no_more_asked(self, handed: Handed | Ahead) -> None:
        _decrease(self.unanswered, handed.lane)
        self._forget_offer(handed.client_id)

    def _forget_offer(self, client_id: str) -> None:
        if client_id:
            _decrease(self.offered, client_id)


def lane_of(life: RunLife) -> Lane:
    return life.queue, life.flow_id


def waiting_of(life: RunLife) -> Waiting:
    return Waiting(rank=-life.priority, queued_seq=life.queued_seq, run_id=life.id)


def _discard(sets: dict[str, set[str]], key: str, value: str) -> None:
    found = sets.get(key)
    if found is not None:
        found.discard(value)
        if not found:
            del sets[key]


def _decrease(counts: dict, key: object) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
