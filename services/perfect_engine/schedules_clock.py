"""The shell around `schedules`: follows the schedules, wakes at their instants, has every decision stored before its run
is started.

Of each schedule one decision is made at a time. A decision is guarded on all that was said of the schedule before, so that two
engines, or the same one after a kill, decide on every instant once; its run's id follows from schedule and instant, so that
starting it again starts nothing.
"""

from typing import TYPE_CHECKING

from perfect_engine import schedules
from perfect_engine.process import Process
from perfect_engine.schedules import Situation
from perfect_engine.schedules_runs import ScheduledRuns
from perfect_engine.timers import Timers
from perfect_runtime.decider import Aggregate, handle
from perfect_runtime.service import Context
from perfect_schemas import codec, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.commands import Forget
from perfect_schemas.envelope import Event
from perfect_schemas.errors import BusUnavailable, PerfectError
from perfect_schemas.events.schedule import ScheduleCondensed, ScheduleFired
from perfect_schemas.folds import schedule as fold
from perfect_schemas.folds.run import RunLife
from perfect_schemas.folds.schedule import Schedule

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.follow import Following

STREAM = "DEFS"
CONDENSE_AFTER = 500


class Kept(Aggregate[Schedule]):
    """A schedule's fold. said: events since it was condensed."""

    __slots__ = ("said",)

    def __init__(self, schedule_id: str) -> None:
        super().__init__(subjects.schedule(schedule_id), fold.evolve)
        self.said = 0

    def apply(self, event: Event | UnknownEvent, seq: int) -> None:
        if seq > self.seq:
            self.said = 0 if isinstance(event, ScheduleCondensed) else self.said + 1
        super().apply(event, seq)


class Schedules:
    def __init__(self, context: Context, process: Process, runs: ScheduledRuns) -> None:
        self._context = context
        self._bus = context.bus
        self._process = process
        self._runs = runs
        self._timers = Timers(context, self._look, kind="schedule")
        self._folds: dict[str, Kept] = {}
        self._busy: dict[str, bool] = {}  # schedule id → whether there was reason to look again meanwhile
        self._started: dict[str, str | None] = {}  # schedule id → its last run that is known to be started
        self._since = context.clock()
        self._following: Following | None = None

    async def start(self) -> None:
        seq = 0
        for seq, subject, data in await self._bus.read_raw(subjects.ALL_SCHEDULES, stream=STREAM):
            self.fold(subject.rpartition(".")[2]).apply(codec.decode(data), seq)
        await self._timers.start()
        self._following = await self._bus.follow(
            STREAM, self._heard, after=seq, subject=subjects.ALL_SCHEDULES
        )
        self._process.run_ended = self._run_ended
        self._back()
        self._bus.reconnected.append(self._back)
        for schedule_id in list(self._folds):
            self._look(schedule_id)

    async def stop(self) -> None:
        if self._back in self._bus.reconnected:
            self._bus.reconnected.remove(self._back)
        await self._timers.stop()
        if self._following is not None:
            await self._following.unsubscribe()

    def __len__(self) -> int:
        """How many fire by themselves."""
        return sum(one.state is not None and one.state.is_live for one in self._folds.values())

    def get(self, schedule_id: str) -> Schedule | None:
        found = self._folds.get(schedule_id)
        return found.state if found is not None else None

    def fold(self, schedule_id: str) -> Kept:
        found = self._folds.get(schedule_id)
        if found is None:
            found = self._folds[schedule_id] = Kept(schedule_id)
        return found

    # -- what happens

    async def _heard(self, msg: "Msg", seq: int) -> None:
        schedule_id = msg.subject.rpartition(".")[2]
        kept = self.fold(schedule_id)
        before = kept.state
        kept.apply(codec.decode(msg.data), seq)
        if kept.state is not before:
            self._look(schedule_id)

    def _back(self) -> None:
        """What was due while the bus was away is caught up on by each schedule's own rule, as after a restart."""
        self._since = self._context.clock()

    def _run_ended(self, life: RunLife) -> None:
        if life.schedule_id is not None:
            schedule = self.get(life.schedule_id)
            if schedule is not None and schedule.deferred:
                self._look(life.schedule_id)

    def _look(self, schedule_id: str) -> None:
        """See what there is to decide about it, unless that is being done: then once more when it is done."""
        if schedule_id in self._busy:
            self._busy[schedule_id] = True
            return
        self._busy[schedule_id] = False
        self._process.spawn(lambda: self._go_on_safely(schedule_id), "decide about a schedule")

    # -- doing

    async def _go_on_safely(self, schedule_id: str) -> None:
        """One that cannot be computed (its zone is not known on this machine) must not hold up all others."""
        try:
            await self._go_on(schedule_id)
        except BusUnavailable:
            raise
        except Exception as error:
            self._busy.pop(schedule_id, None)
            self._context.log.exception(
                "a schedule stands still until it is changed or the engine is restarted",
                schedule=schedule_id,
                error=repr(error),
            )

    async def _go_on(self, schedule_id: str) -> None:
        while True:
            self._busy[schedule_id] = False
            await self._start_last(schedule_id)
            while await self._decide(schedule_id):
                pass
            self._wait(schedule_id)
            if not self._busy[schedule_id]:
                del self._busy[schedule_id]
                break
        if self.fold(schedule_id).said >= CONDENSE_AFTER:
            await self._condense(schedule_id)

    async def _decide(self, schedule_id: str) -> bool:
        """Make the next decision, and what follows from it. Whether there was one to make."""
        kept = self.fold(schedule_id)
        planned = schedules.decide(kept.state, self._situation(schedule_id))
        if not planned:
            return False
        assert kept.state is not None
        refusal = ""
        if isinstance(planned[0], ScheduleFired):
            refusal = await self._runs.refusal(kept.state)
            if not refusal and planned[0].cancelled:
                await self._runs.cancel(planned[0].cancelled, f"schedule {kept.state.spec.name}")
        stored = await handle(
            self._bus, kept, lambda one: schedules.decide(one, self._situation(schedule_id, refusal))
        )
        for _, event in stored:
            if isinstance(event, ScheduleFired):
                await self._start(kept.state, event)
        await self._start_last(schedule_id)
        return True

    async def _start(self, schedule: Schedule, fired: ScheduleFired) -> None:
        try:
            await self._runs.start(schedule, fired)
        except BusUnavailable:
            raise
        except PerfectError as error:  # its flow was removed a moment ago
            self._context.log.warning("a scheduled run was not started", run=fired.run_id, error=error.detail)
        self._started[schedule.id] = fired.run_id

    async def _start_last(self, schedule_id: str) -> None:
        """An engine that died, or that did not learn that its decision was stored, may not have started the last run."""
        schedule = self.get(schedule_id)
        if (
            schedule is None
            or schedule.removed
            or schedule.last_run_id is None
            or self._started.get(schedule_id) == schedule.last_run_id
        ):
            return
        fired = schedules.last_fired(schedule)
        if await self._runs.is_on_bus(schedule.last_run_id):
            self._started[schedule_id] = schedule.last_run_id
        elif self._process.past.may_be_gone(schedule.last_run_id):
            self._started[schedule_id] = schedule.last_run_id
            self._process.spawn(lambda: self._start_missing(schedule, fired), "look for a scheduled run")
        else:
            await self._start(schedule, fired)

    async def _start_missing(self, schedule: Schedule, fired: ScheduleFired) -> None:
        """Most probably it has ended and left the bus: only the read model knows."""
        try:
            is_there = bool(await self._runs.existing([fired.run_id or ""]))
        except BusUnavailable:
            raise
        except PerfectError as error:
            self._context.log.warning(
                "whether a schedule's last run was started is not known", run=fired.run_id, error=error.detail
            )
            return
        if not is_there:
            await self._start(schedule, fired)

    def _wait(self, schedule_id: str) -> None:
        schedule = self.get(schedule_id)
        wakes_at = schedules.wakes_at(schedule) if schedule is not None else None
        if wakes_at is None:
            self._timers.disarm(schedule_id)
        else:
            self._timers.arm(schedule_id, wakes_at)

    def _situation(self, schedule_id: str, refusal: str = "") -> Situation:
        return Situation(
            stamp=self._process.stamp(),
            since=self._since,
            live=sorted(self._process.board.scheduled.get(schedule_id, ())),
            refusal=refusal,
        )

    async def _condense(self, schedule_id: str) -> None:
        """A kill between the two is harmless: what should have gone goes with the next."""
        subject = subjects.schedule(schedule_id)
        stored = await handle(
            self._bus, self.fold(schedule_id), lambda one: schedules.condense(one, self._process.stamp())
        )
        for seq, _ in stored:
            try:
                await self._bus.ask(
                    subjects.command("projector", "forget"), Forget(subject=subject, through=seq - 1)
                )
            except PerfectError as error:
                self._context.log.info(
                    "a schedule's past stays on the bus", schedule=schedule_id, error=error.detail
                )
