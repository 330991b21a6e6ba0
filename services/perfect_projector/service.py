"""The projector: writes what the streams say into the DuckDB file, says what ran slow, and answers every query."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

import duckdb
import msgspec

from perfect_projector.batch import Batch, Message
from perfect_projector.continuity import FILE, compare
from perfect_projector.duck import Duck
from perfect_projector.journal import STREAMS, Journal, stream_state
from perfect_projector.log_row import decode
from perfect_projector.project import Draft, Projection
from perfect_projector.readers import Readers
from perfect_projector.statistic import of_flow_row, of_task_row
from perfect_runtime.service import Context, Service
from perfect_schemas import codec, subjects
from perfect_schemas.commands import Health
from perfect_schemas.errors import BusUnavailable, Failed
from perfect_schemas.events.statistic import PerformanceWarned
from perfect_schemas.streams import DUPLICATE_WINDOW_S

KEEP_BATCHES = 64
MAX_RUNS = 20_000
MAX_TASKS = 100_000
MAX_HELD_BYTES = 64 * 1024 * 1024
MIN_FREE_BYTES = 64 * 1024 * 1024
DISK_RETRY_S = 2.0

T = TypeVar("T")


class ProjectorService(Service):
    name: ClassVar[str] = "projector"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.projection = Projection()
        self.alarms: dict[str, str] = {}
        self.committed: dict[str, int] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="duck-writer")
        self._duck: Duck | None = None
        self._journal: Journal | None = None
        self._readers: Readers | None = None
        self._loop_task: asyncio.Task[None] | None = None
        self._refused: set[str] = set()
        self._events = self._batches = self._repaired = self._failed = 0
        self._commit_ms = 0.0

    # -- life

    async def start(self) -> None:
        file = self.settings.data_dir / FILE
        self._duck = await self._in_writer(Duck, file)
        if self._duck.set_aside:
            self.log.error(
                "the write-ahead log of the DuckDB file was damaged: it was set aside, the events that were only "
                "in it are read from the bus again",
                file=str(self._duck.set_aside),
            )
        await self._in_writer(self._restore)
        self.committed = await self._check_streams()
        journal = self._journal = Journal(self.bus, self.committed)
        await self._definitions_first(journal)
        self._readers = await self._in_writer(Readers, self._duck)
        await self._readers.start(self.bus)
        followed = [stream for stream in ("EVENTS", "LOGS") if stream not in self._refused]
        await journal.follow(*followed)
        self._loop_task = self.context.spawn(self._run(journal), "projector")
        self.status = "degraded" if self.alarms else "ready"

    async def stop(self) -> None:
        self.status = "stopping"
        if self._journal is not None:
            await self._journal.stop()
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        if self._readers is not None:
            await self._readers.stop()
            self._readers = None
        if self._duck is not None:
            with contextlib.suppress(duckdb.Error):
                await self._in_writer(self._duck.close)
            self._duck = None  # DuckDB's binding grumbles on stderr about connections that live to the end
        self._writer.shutdown()

    async def _in_writer(self, function: Callable[..., T], *args: Any) -> T:
        """Run in the writer's thread, to the end even when the caller is cancelled."""
        future = asyncio.get_running_loop().run_in_executor(self._writer, function, *args)
        return await asyncio.shield(future)

    def _restore(self) -> None:
        duck, projection = self._open_duck, self.projection
        projection.definitions.restore(duck.load("load_flows"))
        projection.book.restore(
            [
                *map(of_task_row, duck.load("load_task_statistics")),
                *map(of_flow_row, duck.load("load_flow_statistics")),
            ]
        )
        projection.expectations.restore(duck.load("load_task_counts"))

    @property
    def _open_duck(self) -> Duck:
        if self._duck is None:
            raise Failed("the projector has not opened its file yet")
        return self._duck

    async def _check_streams(self) -> dict[str, int]:
        """Where to go on on each stream. What does not fit together raises an alarm: health is `degraded`."""
        duck = self._open_duck
        known = await self._in_writer(duck.offsets)
        positions: dict[str, int] = {}
        for stream in STREAMS:
            state = await stream_state(self.bus, stream)
            seq, created = known.get(stream, (0, None))
            found = compare(stream, state, seq, created)
            positions[stream] = found.position
            if found.alarm is not None:
                self._alarm(stream, found.alarm)
            if found.is_other:
                self._refused.add(stream)
            if created is None:
                await self._in_writer(duck.set_created, stream, state.created)
            if found.position < seq:
                await self._in_writer(duck.rewind, stream, found.position)
        return positions

    def _alarm(self, about: str, text: str) -> None:
        if self.alarms.get(about) != text:
            self.alarms[about] = text
            self.log.error(text, about=about)
        self._settle()

    def _settle(self) -> None:
        if self.status in ("ready", "degraded"):
            self.status = "degraded" if self.alarms else "ready"

    async def _definitions_first(self, journal: Journal) -> None:
        """Have the definitions in memory and in the file before the first run is folded."""
        if "DEFS" in self._refused:
            return
        state = await stream_state(self.bus, "DEFS")
        await journal.follow("DEFS")
        while state.messages and self.committed["DEFS"] < state.last_seq:
            await self._step(journal)

    # -- the write loop

    async def _run(self, journal: Journal) -> None:
        while True:
            await self._step(journal)

    async def _step(self, journal: Journal) -> None:
        messages = await journal.take(self.settings.batch_events, self.settings.batch_ms / 1000)
        await self._until_there_is_room()
        begin = time.perf_counter()
        try:
            draft = await self._in_writer(self._project, messages, journal.is_behind)
            if (
                draft.warned
            ):  # said before what they follow from is committed: a crash in between repeats both
                await asyncio.gather(*(self._warn(message, warning) for message, warning in draft.warned))
                await self._in_writer(self._write, draft.batch)
        except duckdb.FatalException as error:
            raise Failed(
                f"DuckDB has given up {FILE}, the process has to be started again (is the disk full?): {error}"
            ) from error
        self.committed |= draft.batch.offsets
        self._events += len(messages)
        self._batches += 1
        self._commit_ms = (time.perf_counter() - begin) * 1000
        projection = self.projection
        projection.held.forget(
            projection.batches,
            keep_batches=KEEP_BATCHES,
            max_runs=MAX_RUNS,
            max_tasks=MAX_TASKS,
            max_bytes=MAX_HELD_BYTES,
        )

    def _project(self, messages: list[Message], behind: bool) -> Draft:
        """In the writer's thread: fold, and write unless there are warnings to be said first."""
        decoded = decode(messages)
        held = self.projection.held
        missing = held.missing(decoded)
        if missing:
            held.restore(*self._open_duck.load_runs(missing))
        draft = self.projection.fold(decoded)
        self._failed += len(draft.failed)
        for message, error in draft.failed:
            self.log.error(
                "an event could not be folded", subject=message.subject, seq=message.seq, error=repr(error)
            )
        self._open_duck.behind(behind)
        if not draft.warned:
            self._write(draft.batch)
        return draft

    def _write(self, batch: Batch) -> None:
        try:
            self._open_duck.write(batch)
        except duckdb.ConversionException as error:
            repaired = self._open_duck.repair(batch)
            self.log.warning(
                "values that DuckDB cannot read were left out", values=repaired, error=str(error)
            )
            self._repaired += repaired
            if not repaired:
                raise
            self._open_duck.write(batch)

    async def _warn(self, about: Message, warning: PerformanceWarned) -> None:
        """Say the warning once. Its id keeps a repeat off the stream while the server remembers it; of an older
        completion, which is read again only when the file is made anew, the stream itself is asked.
        """
        subject = subjects.task(warning.run_id or "")
        age_s = time.time() - about.stored_ns / 1e9
        if age_s > DUPLICATE_WINDOW_S * 0.9:
            later = await self.bus.read(subject, after=about.seq)
            if any(event.id == warning.id for _, event in later):
                return
        data = codec.encode(warning)
        while True:
            try:
                ack = await self.bus.outbox.send(subject, data, warning.id)
            except BusUnavailable:
                if self.bus.nc.is_connected:
                    raise
                continue
            if ack.error is not None:
                self.log.error("a warning was refused", subject=subject, error=ack.error.description)
            return

    async def _until_there_is_room(self) -> None:
        """A full disk makes DuckDB's file unusable until a restart: stop before."""
        folder = self.settings.data_dir
        while shutil.disk_usage(folder).free < MIN_FREE_BYTES:
            self._alarm(
                "disk",
                f"less than {MIN_FREE_BYTES // 2**20} MB are free on the disk of {folder}: nothing is written to "
                f"{FILE} until there is room; events wait on the bus",
            )
            await asyncio.sleep(DISK_RETRY_S)
        if self.alarms.pop("disk", None):
            self.log.info("there is room on the disk again")
            self._settle()

    # -- health

    def lag(self) -> tuple[int, int]:
        return self._journal.lag() if self._journal is not None else (0, 0)

    def health(self) -> Health:
        return msgspec.structs.replace(super().health(), detail="; ".join(self.alarms.values()))

    def metrics(self) -> dict[str, float]:
        projection = self.projection
        return {
            "events_total": self._events,
            "batches_total": self._batches,
            "last_batch_ms": round(self._commit_ms, 3),
            "runs_held": len(projection.held.entries),
            "events_unknown_total": projection.unknown,
            "events_ignored_total": projection.ignored,
            "events_invalid_total": projection.invalid + projection.definitions.invalid,
            "events_failed_total": self._failed,
            "values_repaired_total": self._repaired,
            **{f"seq_{stream.lower()}": seq for stream, seq in self.committed.items()},
        }
