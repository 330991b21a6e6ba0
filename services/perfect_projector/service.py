"""The projector: writes what the streams say into the DuckDB file, says what ran slow, and answers every query."""

import asyncio
import contextlib
import gc
import sys
from collections.abc import Awaitable, Callable
from typing import ClassVar

import duckdb
import msgspec

from perfect_bus.cancelling import cancelled
from perfect_bus.purging import missing
from perfect_projector import condition
from perfect_projector.continuity import FILE, compare
from perfect_projector.copier import Copier
from perfect_projector.disk import DiskGuard
from perfect_projector.duck import Duck
from perfect_projector.folding import GC_THRESHOLDS, restore
from perfect_projector.front import Front
from perfect_projector.integrity import Inspector
from perfect_projector.journal import STREAMS, Journal, stream_state
from perfect_projector.project import Draft, Projection
from perfect_projector.purger import Purger
from perfect_projector.readers import Readers
from perfect_projector.rebuild import rebuilt_file, replace
from perfect_projector.retention import Retention
from perfect_projector.sandbox.desk import Desk
from perfect_projector.statistic import Book
from perfect_projector.thresholds import thresholds_of
from perfect_projector.upgrade import Upgrade
from perfect_projector.watch import Watch
from perfect_projector.write_loop import Figures, WriteLoop
from perfect_runtime.answers import Answers
from perfect_runtime.service import Context, Service
from perfect_schemas.commands import Done, Health, ReplaceReadModel, Reply
from perfect_schemas.errors import Failed

SWITCH_S = 0.0005  # who comes back from DuckDB or the bus waits as long for a thread that folds: 5 ms are Python's default


class ProjectorService(Service):
    name: ClassVar[str] = "projector"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.projection = Projection(Book(thresholds_of(context.settings)))
        self._watch = Watch(context, self.projection.completions.book)
        self.alarms: dict[str, str] = {}
        self._duck: Duck | None = None
        self._journal: Journal | None = None
        self._front = Front()
        self._front.outdated = self._load_front_soon
        self._purger: Purger | None = None
        self._desk: Desk | None = None
        self._loop: WriteLoop | None = None
        self._retention: Retention | None = None
        self._upgrade: Upgrade | None = None
        self._stops: list[
            Callable[[], Awaitable[None]]
        ] = []  # of what answers: the last one begun goes first
        self._work: list[asyncio.Task[None]] = []  # in the order in which it is ended
        self._refused: set[str] = set()
        self._replacing = asyncio.Lock()
        self._gc_thresholds = gc.get_threshold()
        self._switch_s = sys.getswitchinterval()

    # -- life

    async def start(self) -> None:
        file = self.settings.data_dir / FILE
        gc.set_threshold(*GC_THRESHOLDS)
        sys.setswitchinterval(SWITCH_S)
        guard = DiskGuard(
            self.settings.data_dir,
            min_free_bytes=self.settings.min_free_bytes,
            say=self._has_no_room,
            clear=self._has_room,
        )
        self.settings.data_dir.mkdir(parents=True, exist_ok=True)
        await guard.wait_for_room()
        duck = self._duck = await asyncio.to_thread(Duck, file, self.settings.archive_dir)
        duck = await self._upgraded(duck)
        if said := condition.unreadable(duck):
            self._alarm("archive", said)
        loop = self._loop = WriteLoop(self.context, duck, self.projection, guard)
        await loop.in_writer(self._restore)
        loop.committed = await self._check_streams(loop)
        journal = self._journal = Journal(self.bus, loop.committed)
        await self._definitions_first(loop, journal)
        await loop.in_writer(self._front.load, duck)
        await self._begin(await loop.in_writer(Readers, self.bus, duck, self._front))
        self._desk = await loop.in_writer(
            Desk, self.bus, duck, self.settings, lambda: self.committed, lambda: guard.why
        )
        await self._begin(self._desk)
        await self._begin(await loop.in_writer(Copier, self.bus, duck))
        replacing = Answers(self.bus)
        self._stops.append(replacing.stop)
        await replacing.commands("projector", {"replace": self._replace})
        await self._begin(await loop.in_writer(Inspector, self.bus, duck))
        followed = [stream for stream in ("EVENTS", "LOGS") if stream not in self._refused]
        await journal.follow(*followed)
        self._purger = Purger(self.context, self.log, duck, loop.in_writer)
        self._stops.append(self._purger.stop)
        if not self._refused:  # never from a stream that the file was not filled from
            await self._purger.start()
        self._watch.restore(await loop.in_writer(duck.load, "load_running"))
        loop.heard = self._heard
        loop_task = self.context.spawn(loop.run(journal), "projector")
        self._work = [self.context.spawn(self._watch.run(), "watch"), loop_task]
        self._retention = Retention(self.context, self.log, duck, loop.in_writer)
        self._retention.has_dropped = self._has_dropped
        self._work.append(self.context.spawn(self._retention.run(), "retention"))
        self.status = "degraded" if self.alarms else "ready"

    async def stop(self) -> None:
        self.status = "stopping"
        if self._upgrade is not None:
            await self._upgrade.stop()
        if self._journal is not None:
            await self._journal.stop()
        if self._loop is not None:
            self._loop.quiet()
        for task in self._work:
            await cancelled(task)
        if self._retention is not None:
            await asyncio.to_thread(self._retention.close)
        while self._stops:
            await self._stops.pop()()
        self._desk = self._purger = None
        if self._loop is not None:
            await asyncio.to_thread(self._loop.close)
        if self._duck is not None:
            with contextlib.suppress(duckdb.Error):
                await asyncio.to_thread(self._duck.close)
            self._duck = None  # DuckDB's binding grumbles on stderr about connections that live to the end
        gc.set_threshold(*self._gc_thresholds)
        sys.setswitchinterval(self._switch_s)

    async def _begin(self, part: Readers | Desk | Copier | Inspector) -> None:
        self._stops.append(part.stop)
        await part.start()

    async def _upgraded(self, duck: Duck) -> Duck:
        """Nobody is answered meanwhile: the rows are those of an older version."""
        if said := condition.mended(duck):
            self.log.error(said)
        self._duck = None
        self._upgrade = Upgrade(duck, self.log, self._upgraded_by)
        upgraded = self._duck = await self._upgrade.run()
        self._upgrade = None
        if upgraded is not duck and (said := condition.mended(upgraded)):
            self.log.error(said)
        self.alarms.pop("upgrade", None)
        self.status = "starting"
        return upgraded

    def _upgraded_by(self, percent: int) -> None:
        self.alarms["upgrade"] = condition.upgraded_by(percent)
        self.status = "degraded"

    def _heard(self, draft: Draft) -> None:
        self._front.note(draft)
        self._watch.note(draft)
        if self._purger is not None:
            self._purger.note(draft)

    @property
    def committed(self) -> dict[str, int]:
        """Stream → last sequence that is in the file."""
        return {} if self._loop is None else self._loop.committed

    def _restore(self) -> None:
        restore(self.projection, self._open_duck)

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
            if alarm := condition.lost(duck, stream, gone) or found.alarm:
                self._alarm(stream, alarm)
            if found.is_other:
                self._refused.add(stream)
            if created is None:
                await loop.in_writer(duck.set_created, stream, state.created)
            if found.position < seq:
                await loop.in_writer(duck.rewind, stream, found.position)
                if stream == "DEFS":
                    schedules = await loop.in_writer(duck.load, "load_schedules")
                    self.projection.definitions.schedules.restore(schedules)
        return positions

    async def _replace(self, data: bytes) -> Reply:
        """Put rebuilt tables in place, and begin from them. Nothing is taken from the bus meanwhile."""
        file = rebuilt_file(msgspec.json.decode(data, type=ReplaceReadModel).file, self.settings.data_dir)
        loop = self._loop
        if loop is None:
            raise Failed("the projector has not opened its file yet")
        async with self._replacing, loop.paused():
            await loop.in_writer(replace, self._open_duck, file)
            self.projection = Projection(Book(thresholds_of(self.settings)))
            await loop.in_writer(self._restore)
            loop.projection = self.projection
            self._watch.book = self.projection.completions.book
            await loop.in_writer(self._front.load, self._open_duck)
        self.log.warning("the read model was replaced by one that was rebuilt from the log")
        return Reply.of(Done())

    def _load_front_soon(self) -> None:
        self.context.spawn(self._load_front(), "front")

    async def _load_front(self) -> None:
        loop = self._loop
        if loop is not None:
            async with self._replacing, loop.paused():
                await loop.in_writer(self._front.load, self._open_duck)

    def _has_dropped(self) -> None:
        self._front.drop()
        if self._purger is not None:
            self._purger.sweep_soon()
        if self._desk is not None:
            self._desk.snapshots.outdate()

    def _has_no_room(self, why: str) -> None:
        self._alarm("disk", why)
        if self.status == "starting":
            self.status = "degraded"

    def _has_room(self) -> None:
        del self.alarms["disk"]
        if self._desk is None:
            self.status = "starting"
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
            "running_long_total": self._watch.said,
            "tasks_watched": len(self._watch.watched),
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
