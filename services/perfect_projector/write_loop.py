"""The write loop: takes what the streams bring, folds it, says the warnings that follow, commits.

Two threads: one reads and folds, one writes. While DuckDB writes a batch, the next one is folded if there is already
enough to fold; so a batch is folded before the one ahead of it is committed, which is sound because the runs that it
needs are either held in memory (what is not committed yet is held) or in the file since long.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import duckdb
import msgspec

from perfect_bus import Bus
from perfect_projector.batch import Batch, Message
from perfect_projector.continuity import FILE
from perfect_projector.disk import DiskGuard
from perfect_projector.duck import Duck
from perfect_projector.folding import fold
from perfect_projector.journal import Journal
from perfect_projector.position import Teller
from perfect_projector.project import Draft, Projection
from perfect_runtime.service import Context
from perfect_schemas import codec, subjects
from perfect_schemas.errors import BusUnavailable, Failed
from perfect_schemas.events.statistic import PerformanceWarned
from perfect_schemas.streams import DUPLICATE_WINDOW_S

BUSY_S = 0.25  # a commit that ended so shortly ago says that more is to come
MAX_GATHER_S = 0.11  # and a commit after it: what is shown is a sixth of a second old at most
GATHER_FACTOR = 6  # of a commit's time, while commits follow each other
QUIET_S = 0.01  # when nothing came for so long, a burst is over
BUSY_QUIET_S = 0.02  # the same while commits follow each other and runs go on: more is to come
SETTLED_S = 0.003  # the same when no run goes on any more: somebody may be waiting for the last one
SETTLED_FACTOR = 4  # … unless the last commit ended less than so many times its own time ago

T = TypeVar("T")


class Figures(msgspec.Struct):
    """What the loop has done. Times in seconds. lag_s: of the last commit, from when the server stored the oldest
    message of the batch to the commit.
    """

    events: int = 0
    batches: int = 0
    failed: int = 0
    repaired: int = 0
    batch_events: int = 0
    commit_s: float = 0.0
    commits_s: float = 0.0
    lag_s: float = 0.0


class WriteLoop:
    """committed: stream → last sequence that is in the file. heard(draft): called after each commit."""

    def __init__(self, context: Context, duck: Duck, projection: Projection, guard: DiskGuard) -> None:
        self.committed: dict[str, int] = {}
        self.heard: Callable[[Draft], None] = lambda _: None
        self.figures = Figures()
        self.projection = projection
        self._bus: Bus = context.bus
        self._settings = context.settings
        self._log = context.log
        self._duck = duck
        self._loader = duck.loader()
        self._guard = guard
        self._teller = Teller(context.bus)
        self._folder = ThreadPoolExecutor(1, thread_name_prefix="folder")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="duck-writer")
        self._under_way: dict[tuple[str, int], tuple[int, int]] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._idle: asyncio.Event | None = None
        self._committed_at = 0.0

    async def in_writer(self, function: Callable[..., T], *args: Any) -> T:
        """Run in the writer's thread, to the end even when the caller is cancelled."""
        return await _to_the_end(self._writer, function, *args)

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Inside, nothing is folded and nothing written: what comes waits, all that came before is in the file."""
        self._open.clear()
        self._idle = asyncio.Event()
        try:
            if self._under_way:
                await self._idle.wait()
            yield
        finally:
            self._idle = None
            self._open.set()

    def quiet(self) -> None:
        """Say no more how far it is."""
        self._teller.close()

    def close(self) -> None:
        """Waits for what the threads are doing. Not on the event loop."""
        self._folder.shutdown()
        self._writer.shutdown()
        self._loader.close()

    def lag(self) -> tuple[int, int]:
        """Messages that were taken and are not committed yet, and the age of the oldest of them in ms."""
        under_way = self._under_way.values()
        if not under_way:
            return 0, 0
        age = max(time.time_ns() - min(oldest for _, oldest in under_way), 0) // 1_000_000
        return sum(count for count, _ in under_way), age

    async def run(self, journal: Journal) -> None:
        """Until it is cancelled. Raises Failed when the file cannot be written any more."""
        writing: asyncio.Task[None] | None = None
        try:
            while True:
                messages, draft = await self._next(journal)
                if writing is not None:
                    await writing
                writing = asyncio.create_task(self._commit(messages, draft), name="commit")
                if journal.waiting < self._settings.batch_events:
                    await writing
                    writing = None
                    if self._duck.is_behind and journal.waiting < self._settings.batch_events:
                        await self._caught_up()
        finally:
            if writing is not None:
                await asyncio.gather(writing, return_exceptions=True)

    async def _caught_up(self) -> None:
        try:
            await self.in_writer(self._duck.caught_up)
        except duckdb.FatalException as error:
            raise _given_up(error) from error

    async def step(self, journal: Journal) -> None:
        """One batch, from the bus to the file."""
        await self._commit(*await self._next(journal))

    async def _next(self, journal: Journal) -> tuple[list[Message], Draft]:
        messages = await journal.take(self._settings.batch_events, *self._gathering_s())
        await self._open.wait()
        self._under_way[messages[0][:2]] = len(messages), min(message.stored_ns for message in messages)
        try:
            return messages, await _to_the_end(self._folder, self._fold, messages)
        except duckdb.FatalException as error:
            raise _given_up(error) from error

    def _gathering_s(self) -> tuple[float, float, float]:
        """For how long `take` gathers at most, and at most in silence: while a run goes on, and while none does.

        A commit costs more than ten milliseconds of a processor however small it is: while they follow each other, they
        are made larger.
        """
        gather_s = self._settings.batch_ms / 1000
        since_s, commit_s = time.monotonic() - self._committed_at, self.figures.commit_s
        if since_s > BUSY_S:
            return gather_s, QUIET_S, SETTLED_S
        gather_s = max(gather_s, min(GATHER_FACTOR * commit_s, MAX_GATHER_S))
        return gather_s, BUSY_QUIET_S, SETTLED_S if since_s > SETTLED_FACTOR * commit_s else QUIET_S

    def _fold(self, messages: list[Message]) -> Draft:
        """In the folder's thread."""
        draft = fold(self.projection, self._duck, self._loader, messages)
        self.figures.failed += len(draft.failed)
        for message, error in draft.failed:
            self._log.error(
                "an event could not be folded", subject=message.subject, seq=message.seq, error=repr(error)
            )
        return draft

    async def _commit(self, messages: list[Message], draft: Draft) -> None:
        await self._guard.wait_for_room()
        if draft.warned:
            # said before what they follow from is committed: a crash in between repeats both
            await asyncio.gather(*(self._warn(message, warning) for message, warning in draft.warned))
        try:
            took_s = await self.in_writer(self._write, draft.batch, len(messages))
        except duckdb.FatalException as error:
            raise _given_up(error) from error
        self._committed_at = time.monotonic()
        self.committed |= draft.batch.offsets
        self._teller.committed(self.committed["EVENTS"])
        self.heard(draft)
        _, oldest = self._under_way.pop(messages[0][:2])
        if self._idle is not None and not self._under_way:
            self._idle.set()
        figures = self.figures
        figures.events += len(messages)
        figures.batches += 1
        figures.batch_events = len(messages)
        figures.commit_s = took_s
        figures.commits_s += took_s
        figures.lag_s = max(time.time_ns() - oldest, 0) / 1e9

    def _write(self, batch: Batch, count: int) -> float:
        """In the writer's thread. Returns how long it took, in seconds."""
        begin = time.perf_counter()
        duck = self._duck
        if not self._guard.has_plenty:
            duck.behind(behind=False)
        elif count > self._settings.batch_events:
            duck.behind(behind=True)
        try:
            duck.write(batch)
        except duckdb.ConversionException as error:
            repaired = duck.repair(batch)
            self._log.warning(
                "values that DuckDB cannot read were left out", values=repaired, error=str(error)
            )
            self.figures.repaired += repaired
            if not repaired:
                raise
            duck.write(batch)
        return time.perf_counter() - begin

    async def _warn(self, about: Message, warning: PerformanceWarned) -> None:
        """Say the warning once. Its id keeps a repeat off the stream while the server remembers it; of an older
        completion, which is read again only when the file is made anew, the stream itself is asked.
        """
        subject = subjects.task(warning.run_id or "")
        age_s = time.time() - about.stored_ns / 1e9
        if age_s > DUPLICATE_WINDOW_S * 0.9:
            later = await self._bus.read(subject, after=about.seq)
            if any(event.id == warning.id for _, event in later):
                return
        data = codec.encode(warning)
        while True:
            try:
                ack = await self._bus.outbox.send(subject, data, warning.id)
            except BusUnavailable:
                if self._bus.nc.is_connected:
                    raise
                continue
            if ack.error is not None:
                self._log.error("a warning was refused", subject=subject, error=ack.error.description)
            return


async def _to_the_end(pool: ThreadPoolExecutor, function: Callable[..., T], *args: Any) -> T:
    return await asyncio.shield(asyncio.get_running_loop().run_in_executor(pool, function, *args))


def _given_up(error: duckdb.Error) -> Failed:
    return Failed(
        f"DuckDB has given up {FILE}, the process has to be started again (is the disk full?): {error}"
    )
