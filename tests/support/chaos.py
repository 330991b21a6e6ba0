"""What the kill tests share: a seed that is printed, a witness of the event stream, and what must hold afterwards."""

import asyncio
import os
import random
import statistics
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from running import Running, Worker

from perfect_bus import Bus
from perfect_schemas import codec, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.events import RunCompleted, RunStarted, TaskCompleted
from perfect_schemas.events.statistic import PerformanceWarned
from perfect_schemas.folds.history import History
from perfect_schemas.states import FINAL_TASK_STATES, RunState

# Read when the tests are collected: while they run, nothing of the surroundings reaches them.
KILLS = int(os.environ.get("PERFECT_CHAOS_KILLS") or 15)
FULL = KILLS >= 100
"""Whether the larger sizes are wanted, too, which take minutes."""
_SEED = os.environ.get("PERFECT_TEST_SEED")


def seeded(what: str = "") -> random.Random:
    """A source of random moments. Its seed is printed; PERFECT_TEST_SEED repeats one (the instants, that is)."""
    seed = int(_SEED) if _SEED else random.randrange(2**32)
    print(f"PERFECT_TEST_SEED={seed} {what}")
    return random.Random(seed)


class Recovery(NamedTuple):
    """at: of the kill, on the loop's clock. seconds: from then to the next completed task (or the end) of a run that it
    concerned.
    """

    victim: str
    at: float
    seconds: float


def report(recoveries: Iterable[Recovery], slow_s: float = 3.0) -> None:
    """By victim; and what else died around the kills that took longer than `slow_s`."""
    recoveries = list(recoveries)
    for slow in recoveries:
        if slow.seconds > slow_s:
            around = ", ".join(
                f"{one.victim} {one.at - slow.at:+.2f}"
                for one in sorted(recoveries, key=lambda one: one.at)
                if one is not slow and abs(one.at - slow.at) < slow.seconds
            )
            print(f"{slow.victim}: {slow.seconds:.2f} s; around it, in s: {around or 'nothing'}")
    by_victim: dict[str, list[float]] = defaultdict(list)
    for one in recoveries:
        by_victim[one.victim].append(one.seconds)
        by_victim["all"].append(one.seconds)
    for victim, seconds in by_victim.items():
        ordered = sorted(seconds)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        print(
            f"recovery after {victim} ({len(ordered)}): p50 {statistics.median(ordered):.2f} s, "
            f"p95 {p95:.2f} s, max {ordered[-1]:.2f} s"
        )


class Witness:
    """Every event of every run and its tasks, folded as it comes. `heard`: run id → (monotonic seconds, epoch) of each
    of its `task.completed`; its end counts as one of a later epoch.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.histories: dict[str, History] = defaultdict(History)
        self.events: dict[str, list[tuple[int, Event]]] = defaultdict(list)
        self.heard: dict[str, list[tuple[float, int]]] = defaultdict(list)
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[None]]] = []

    @asynccontextmanager
    async def watching(self) -> AsyncIterator["Witness"]:
        following = await self._bus.follow("EVENTS", self._each, after=0)
        try:
            yield self
        finally:
            await following.unsubscribe()

    async def _each(self, msg: Any, seq: int) -> None:
        event = codec.decode(msg.data)
        if isinstance(event, UnknownEvent):
            return
        run_id = msg.subject.rpartition(".")[2]
        history = self.histories[run_id]
        history.apply(event, seq)
        self.events[run_id].append((seq, event))
        is_over = history.run is not None and history.run.state.is_final
        if isinstance(event, TaskCompleted) or is_over:
            epoch = (event.epoch or 0) + is_over
            self.heard[run_id].append((asyncio.get_running_loop().time(), epoch))
        for entry in self._waiting[:]:
            holds, future = entry
            if not future.done() and holds():
                future.set_result(None)
                self._waiting.remove(entry)

    async def until(self, holds: Callable[[], Any], timeout_s: float = 60, *, what: str = "it") -> None:
        """Until `holds()`, which is asked after every event."""
        if holds():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (holds, future)
        self._waiting.append(entry)
        try:
            await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            states = [(id_, h.run and h.run.state, len(h.tasks)) for id_, h in self.histories.items()]
            raise AssertionError(f"{what} did not happen within {timeout_s} s; runs: {states}") from None
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)

    def epoch(self, run_id: str) -> int:
        run = self.histories[run_id].run
        return run.epoch if run is not None else 0

    async def until_final(self, run_id: str, timeout_s: float = 60) -> History:
        await self.until(lambda: self.state(run_id).is_final, timeout_s, what=f"the end of run {run_id}")
        return self.histories[run_id]

    async def until_completed(self, run_id: str, tasks: int, timeout_s: float = 60) -> None:
        """Until so many of its tasks have completed."""
        await self.until(
            lambda: self.completed(run_id) >= tasks, timeout_s, what=f"task {tasks} of run {run_id}"
        )

    def completed(self, run_id: str) -> int:
        return sum(task.state == "COMPLETED" for task in self.histories[run_id].tasks.values())

    def state(self, run_id: str) -> RunState:
        run = self.histories[run_id].run
        return run.state if run is not None else RunState.SCHEDULED

    def live(self) -> list[str]:
        return [
            id_ for id_, history in self.histories.items() if history.run and not history.run.state.is_final
        ]

    def held_by(self, client_name: str) -> list[str]:
        """The runs that the client of this name executes."""
        return [
            id_
            for id_, history in self.histories.items()
            if history.run and history.run.state == "RUNNING" and history.run.client_name == client_name
        ]

    async def recovered(self, epochs: dict[str, int], since: float, timeout_s: float = 60) -> float:
        """Seconds from `since` (monotonic) until the first of some runs completed a task, or ended.

        epochs: of each run, the first that counts: what an executor had said before its death may come after it.
        """

        def times() -> list[float]:
            return [
                at
                for run, first in epochs.items()
                for at, epoch in self.heard[run]
                if at > since and epoch >= first
            ]

        await self.until(times, timeout_s, what=f"a next completed task of {epochs}")
        return min(times()) - since


class Line(NamedTuple):
    """A line of the trace: a body that began, under which claim."""

    run_id: str
    key: str
    epoch: int
    claim_seq: int


def read_trace(path: Path) -> dict[str, list[Line]]:
    """By run."""
    lines: dict[str, list[Line]] = defaultdict(list)
    for text in path.read_text().splitlines():
        run_id, key, epoch, claim_seq = text.split()
        lines[run_id].append(Line(run_id, key, int(epoch), int(claim_seq)))
    return lines


async def stored(bus: Bus, run_id: str) -> list[tuple[int, Event]]:
    """All events of a run and its tasks, in stream order."""
    found = [*await bus.read(subjects.run(run_id)), *await bus.read(subjects.task(run_id))]
    return sorted((pair for pair in found if not isinstance(pair[1], UnknownEvent)), key=lambda pair: pair[0])


def check_run(events: list[tuple[int, Event]], lines: list[Line], *, tasks: int, width: int) -> int:
    """What must hold for a run that was disturbed, whatever happened. Returns how many bodies ran again.

    width: how many of its tasks may be under way at a time.
    """
    history = History()
    finals: Counter[str] = Counter()
    for seq, event in events:
        if not isinstance(event, PerformanceWarned):  # which may come after the end, and is none
            for task in history.apply(event, seq):
                finals[task.key] += task.state in FINAL_TASK_STATES
    run = history.run
    assert run is not None
    assert run.state == "COMPLETED", (run.state, run.error, run.reason)
    assert sum(isinstance(event, RunCompleted) for _, event in events) == 1
    assert len(history.tasks) == tasks
    assert set(finals.values()) == {1}, f"more than one end counts: {finals.most_common(3)}"

    claims = {event.epoch: seq for seq, event in events if isinstance(event, RunStarted)}
    assert sorted(claims) == list(range(1, len(claims) + 1)), claims
    completed: dict[str, int] = {}
    for seq, event in events:
        if isinstance(event, TaskCompleted):
            assert event.task_key not in completed, f"{event.task_key} completed twice"
            completed[event.task_key or ""] = seq
    assert len(completed) == tasks

    for line in lines:
        assert claims[line.epoch] == line.claim_seq
        assert completed[line.key] > line.claim_seq, (
            f"{line.key} began in epoch {line.epoch} (claim {line.claim_seq}), "
            f"although it had been completed at {completed[line.key]}"
        )
    bodies = Counter(line.key for line in lines)
    assert set(bodies) == set(completed)
    again = bodies.total() - tasks
    assert again <= (len(claims) - 1) * width, f"{again} bodies ran again in {len(claims)} epochs"
    twice = [line for line, n in Counter((line.key, line.epoch) for line in lines).items() if n > 1]
    assert twice == [], f"ran twice within an epoch: {twice}"
    return again


class Staff:
    """The workers of a system, of which any may be killed; a new one takes the place of a dead one."""

    def __init__(self, system: Running, *files: Path, **options: Any) -> None:
        self._system = system
        self._files = files
        self._options = options
        self._coming: set[asyncio.Task[None]] = set()
        self.workers: dict[str, Worker] = {}

    async def start(self, name: str) -> None:
        self.workers[name] = await self._system.worker(*self._files, name=name, **self._options)

    def replace(self, name: str, after_s: float) -> None:
        async def later() -> None:
            await asyncio.sleep(after_s)
            await self.start(name)

        self.workers.pop(name, None)
        task = asyncio.create_task(later())
        self._coming.add(task)

    async def complete(self) -> None:
        """Until everybody who was replaced is there."""
        coming, self._coming = self._coming, set()
        await asyncio.gather(*coming)
