"""The projector: writes what the streams say into the DuckDB file, says what ran slow, and answers every query."""

import asyncio
import contextlib
import gc
from typing import ClassVar

import duckdb
import msgspec

from perfect_bus.purging import missing
from perfect_projector.continuity import FILE, compare
from perfect_projector.copier import Copier
from perfect_projector.disk import DiskGuard
from perfect_projector.duck import Duck
from perfect_projector.forecast import curves_of
from perfect_projector.journal import STREAMS, Journal, stream_state
from perfect_projector.project import Projection
from perfect_projector.purger import Purger
from perfect_projector.readers import Readers
from perfect_projector.retention import Retention
from perfect_projector.sandbox.desk import Desk
from perfect_projector.statistic import of_flow_row, of_task_row
from perfect_projector.write_loop import Figures, WriteLoop
from perfect_runtime.service import Context, Service
from perfect_schemas.commands import Health
from perfect_schemas.errors import Failed

GC_THRESHOLDS = (
    50_000,
    20,
    50,
)  # rows are many small tuples that hold no cycles: looking for some is a fifth of all work


class ProjectorService(Service):
    name: ClassVar[str] = "projector"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.projection = Projection()
        self.alarms: dict[str, str] = {}
        self._duck: Duck | None = None
        self._journal: Journal | None = None
        self._readers: Readers | None = None
        self._purger: Purger | None = None
        self._desk: Desk | None = None
        self._copier: Copier | None = None
        self._loop: WriteLoop | None = None
        self._loop_task: asyncio.Task[None] | None = None
        self._retention: Retention | None = None
        self._retention_task: asyncio.Task[None] | None = None
        self._refused: set[str] = set()
        self._gc_thresholds = gc.get_threshold()

    # -- life

    async def start(self) -> None:
        file = self.settings.data_dir / FILE
        gc.set_threshold(*GC_THRESHOLDS)
        self._duck = await asyncio.to_thread(Duck, file, self.settings.archive_dir)
        if self._duck.set_aside:
            self.log.error(
                "the write-ahead log of the DuckDB file was damaged: it was set aside, the events that were only "
                "in it are read from the bus again",
                file=str(self._duck.set_aside),
            )
        guard = DiskGuard(
            self.settings.data_dir,
            min_free_bytes=self.settings.min_free_bytes,
            say=lambda text: self._alarm("disk", text),
            clear=self._has_room,
        )
        loop = self._loop = WriteLoop(self.context, self._duck, self.projection, guard)
        await loop.in_writer(self._restore)
        loop.committed = await self._check_streams(loop)
        journal = self._journal = Journal(self.bus, loop.committed)
        await self._definitions_first(loop, journal)
        self._readers = await loop.in_writer(Readers, self._duck)
        await self._readers.start(self.bus)
        self._desk = await loop.in_writer(Desk, self._duck, self.settings, lambda: self.committed)
        await self._desk.start(self.bus)
        self._copier = await loop.in_writer(Copier, self._duck)
        await self._copier.start(self.bus)
        followed = [stream for stream in ("EVENTS", "LOGS") if stream not in self._refused]
        await journal.follow(*followed)
        self._purger = Purger(self.context, self.log, self._duck, loop.in_writer)
        if not self._refused:  # never from a stream that the file was not filled from
            await self._purger.start()
        loop.heard = self._purger.note
        self._loop_task = self.context.spawn(loop.run(journal), "projector")
        self._retention = Retention(self.context, self.log, self._duck, loop.in_writer)
        self._retention.has_dropped = self._purger.sweep_soon
        self._retention_task = self.context.spawn(self._retention.run(), "retention")
        self.status = "degraded" if self.alarms else "ready"

    async def stop(self) -> None:
        self.status = "stopping"
        if self._journal is not None:
            await self._journal.stop()
        if self._loop is not None:
            self._loop.quiet()
        if self._loop_task is not None:
            self._loop_task.cancel()
            await asyncio.gather(self._loop_task, return_exceptions=True)
        if self._retention_task is not None:
            self._retention_task.cancel()
            await asyncio.gather(self._retention_task, return_exceptions=True)
        if self._retention is not None:
            await asyncio.to_thread(self._retention.close)
        if self._desk is not None:
            await self._desk.stop()
            self._desk = None
        if self._copier is not None:
            await self._copier.stop()
            self._copier = None
        if self._purger is not None:
            await self._purger.stop()
            self._purger = None
        if self._readers is not None:
            await self._readers.stop()
            self._readers = None
        if self._loop is not None:
            await asyncio.to_thread(self._loop.close)
        if self._duck is not None:
            with contextlib.suppress(duckdb.Error):
                await asyncio.to_thread(self._duck.close)
            self._duck = None  # DuckDB's binding grumbles on stderr about connections that live to the end
        gc.set_threshold(*self._gc_thresholds)

    @property
    def committed(self) -> dict[str, int]:
        """Stream → last sequence that is in the file."""
        return {} if self._loop is None else self._loop.committed

    def _restore(self) -> None:
        duck, projection = self._open_duck, self.projection
        projection.floor = duck.floor()
        projection.definitions.restore(duck.load("load_flows"))
        flows = duck.load("load_flow_statistics")
        projection.completions.book.restore(
            [*map(of_task_row, duck.load("load_task_statistics")), *map(of_flow_row, flows)]
        )
        projection.completions.curves.restore((row[0], curves_of(row[-1])) for row in flows)
        projection.expectations.restore(duck.load("load_task_counts"))

    @property
    def _open_duck(self) -> Duck:
        if self._duck is None:
            raise Failed("the projector has not opened its file yet")
        return self._duck

    async def _check_streams(self, loop: WriteLoop) -> dict[str, int]:
        """Where to go on on each stream. What does not fit together raises an alarm: health is `degraded`."""
        duck = self._open_duck
        known = await loop.in_writer(duck.offsets)
        positions: dict[str, int] = {}
        for stream in STREAMS:
            state = await stream_state(self.bus, stream)
            seq, created = known.get(stream, (0, None))
            gone = await missing(self.bus, stream, after=seq, through=state.last_seq)
            found = compare(stream, state, seq, created, missing=gone)
            positions[stream] = found.position
            if found.alarm is not None:
                self._alarm(stream, found.alarm)
            if found.is_other:
                self._refused.add(stream)
            if created is None:
                await loop.in_writer(duck.set_created, stream, state.created)
            if found.position < seq:
                await loop.in_writer(duck.rewind, stream, found.position)
        return positions

    def _has_room(self) -> None:
        del self.alarms["disk"]
        self.log.info("there is room on the disk again: the read model is written on")
        self._settle()

    def _alarm(self, about: str, text: str) -> None:
        if self.alarms.get(about) != text:
            self.alarms[about] = text
            self.log.error(text, about=about)
        self._settle()

    def _settle(self) -> None:
        if self.status in ("ready", "degraded"):
            self.status = "degraded" if self.alarms else "ready"

    async def _definitions_first(self, loop: WriteLoop, journal: Journal) -> None:
        """Have the definitions in memory and in the file before the first run is folded."""
        if "DEFS" in self._refused:
            return
        state = await stream_state(self.bus, "DEFS")
        await journal.follow("DEFS")
        while state.messages and self.committed["DEFS"] < state.last_seq:
            await loop.step(journal)

    # -- health

    def lag(self) -> tuple[int, int]:
        if self._journal is None or self._loop is None:
            return 0, 0
        (waiting, waiting_ms), (under_way, under_way_ms) = self._journal.lag(), self._loop.lag()
        return waiting + under_way, max(waiting_ms, under_way_ms)

    def health(self) -> Health:
        return msgspec.structs.replace(super().health(), detail="; ".join(self.alarms.values()))

    def metrics(self) -> dict[str, float]:
        projection, duck = self.projection, self._duck
        figures = self._loop.figures if self._loop is not None else Figures()
        return {
            "events_total": figures.events,
            "batches_total": figures.batches,
            "last_batch_events": figures.batch_events,
            "last_batch_ms": round(figures.commit_s * 1000, 3),
            "last_batch_lag_ms": round(figures.lag_s * 1000, 3),
            "commit_seconds_total": round(figures.commits_s, 6),
            "checkpoints_total": duck.checkpoints if duck is not None else 0,
            "last_checkpoint_ms": round(duck.checkpoint_s * 1000, 3) if duck is not None else 0,
            "months_dropped_total": self._retention.dropped if self._retention is not None else 0,
            "runs_held": len(projection.held.entries),
            "events_unknown_total": projection.unknown,
            "events_ignored_total": projection.ignored,
            "events_invalid_total": projection.invalid + projection.definitions.invalid,
            "events_failed_total": figures.failed,
            "values_repaired_total": figures.repaired,
            **(self._desk.metrics() if self._desk is not None else {}),
            "runs_purged_total": self._purger.purged if self._purger is not None else 0,
            **{f"seq_{stream.lower()}": seq for stream, seq in self.committed.items()},
        }
