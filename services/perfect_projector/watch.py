"""Says of a task that is still running that it takes longer than usual: once of each try, while somebody can still act.

Every task that runs at the end of a batch is watched until its limit (`outlier.running_limit`) by one timer; nothing
is looked at in between. Before anything is said the stream is asked: the task may have ended since the last batch, and
what was said before a restart is not said again.
"""

import asyncio
import contextlib
import heapq
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from perfect_bus import Bus
from perfect_projector import outlier
from perfect_projector.batch import Row
from perfect_projector.project import SOURCE, Draft
from perfect_projector.statistic import Book
from perfect_projector.values import instant
from perfect_runtime.service import Context
from perfect_schemas import codec, subjects
from perfect_schemas.errors import BusUnavailable
from perfect_schemas.events import PerformanceRunningLong, RunNamed, RunPausing, RunStarted
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import TaskState

LATE = timedelta(
    seconds=0.5
)  # what should have been said before it was known waits so long: it may just have ended
AGAIN = timedelta(seconds=1)


class Watched(msgspec.Struct, frozen=True):
    """A try of a task that runs. seq: of the event that it is known from."""

    run_id: str
    task_key: str
    task_run_id: str
    task_id: str
    start_time: datetime
    epoch: int
    attempt: int
    seq: int

    @property
    def event_id(self) -> str:
        return f"{self.task_run_id}:running_long:{self.epoch}.{self.attempt}"


class Watch:
    """watched: what would be said something of in time, by (run id, task key). book: what is usual."""

    def __init__(self, context: Context, book: Book) -> None:
        self.watched: dict[tuple[str, str], Watched] = {}
        self.said = 0
        self._bus: Bus = context.bus
        self._clock = context.clock
        self._log = context.log
        self.book = book
        self._due: list[tuple[datetime, str, str]] = []
        self._first_changed = asyncio.Event()

    def restore(self, rows: Iterable[Row]) -> None:
        """Rows of the statement `load_running`."""
        for row in rows:
            run_id, key, task_run_id, task_id, start_time, epoch, attempt, seq = row
            started = instant(start_time)
            if started is not None:
                self._begin(Watched(run_id, key, task_run_id, task_id, started, epoch, attempt, seq))

    def note(self, draft: Draft) -> None:
        """After each commit."""
        for place, entry in draft.tasks.items():
            task = entry.history.tasks.get(place[1])
            if task is not None and task.state is TaskState.RUNNING and task.performance_warning is None:
                self._started(place[0], task)
            else:
                self.watched.pop(place, None)

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self._first_changed.clear()
            while self._due and self._due[0][0] <= self._clock():
                _, *place = heapq.heappop(self._due)
                watched = self.watched.get((place[0], place[1]))
                if watched is not None:
                    await self._look(watched)
            rest_s = (self._due[0][0] - self._clock()).total_seconds() if self._due else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if rest_s is None else max(rest_s, 0.0)):
                    await self._first_changed.wait()

    def _started(self, run_id: str, task: TaskLife) -> None:
        known = self.watched.get((run_id, task.key))
        if task.start_time is None or (known is not None and known.start_time == task.start_time):
            return
        self._begin(
            Watched(
                run_id,
                task.key,
                task.id,
                task.task_id,
                task.start_time,
                task.epoch,
                task.attempt,
                task.last_seq,
            )
        )

    def _begin(self, watched: Watched) -> None:
        limit_ms = self._limit_ms(watched)
        if limit_ms is None:
            self.watched.pop((watched.run_id, watched.task_key), None)
            return
        self.watched[watched.run_id, watched.task_key] = watched
        self._wait(watched, watched.start_time + timedelta(milliseconds=limit_ms))

    def _wait(self, watched: Watched, due: datetime) -> None:
        now = self._clock()
        due = due if due > now else now + LATE
        heapq.heappush(self._due, (due, watched.run_id, watched.task_key))
        if self._due[0][0] == due:
            self._first_changed.set()

    def _limit_ms(self, watched: Watched) -> float | None:
        known = self.book.statistics.get(watched.task_id)
        return None if known is None else outlier.running_limit(known.summary, self.book.thresholds)

    async def _look(self, watched: Watched) -> None:
        """Its time has come, unless more has been learned since of how long the task takes."""
        elapsed = self._clock() - watched.start_time
        limit_ms = self._limit_ms(watched)
        if limit_ms is None:
            return
        if elapsed < timedelta(milliseconds=limit_ms):
            self._wait(watched, watched.start_time + timedelta(milliseconds=limit_ms))
            return
        try:
            if await self._goes_on(watched):
                await self._say(watched, elapsed)
        except BusUnavailable:
            self._wait(watched, self._clock() + AGAIN)
            return
        self._end(watched)

    def _end(self, watched: Watched) -> None:
        place = (watched.run_id, watched.task_key)
        if self.watched.get(place) == watched:  # not the next try of it, which began meanwhile
            del self.watched[place]

    async def _goes_on(self, watched: Watched) -> bool:
        """Whether the run executes, and nothing has been said of this try since it started."""
        last = await self._bus.last(subjects.run(watched.run_id))
        if last is None or not isinstance(last[1], RunStarted | RunNamed | RunPausing):
            return False
        later = await self._bus.read(subjects.task(watched.run_id), after=watched.seq)
        return not any(getattr(event, "task_key", None) == watched.task_key for _, event in later)

    async def _say(self, watched: Watched, elapsed: timedelta) -> None:
        summary = self.book.statistics[watched.task_id].summary
        elapsed_ms = elapsed // timedelta(milliseconds=1)
        message = outlier.running_long(elapsed_ms, summary, self.book.thresholds)
        if message is None:
            return
        event = PerformanceRunningLong(
            id=watched.event_id,
            at=self._clock(),
            source=SOURCE,
            run_id=watched.run_id,
            task_run_id=watched.task_run_id,
            task_key=watched.task_key,
            epoch=watched.epoch,
            attempt=watched.attempt,
            message=message,
            elapsed_ms=elapsed_ms,
            avg_duration_ms=summary.mean,
        )
        subject = subjects.task(watched.run_id)
        ack = await self._bus.outbox.send(subject, codec.encode(event), event.id)
        if ack.error is not None:
            self._log.error("a warning was refused", subject=subject, error=ack.error.description)
            return
        self.said += 1
