"""The shell around the decisions: what happens to a run, a client or the clock leads to the next decision here.

Each change of a run, however it became known, passes through `_changed`; each reaction is a decision by `handle()`,
so that two engines, or the same one after a kill, decide everything once.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perfect_engine import fork, loading, revival
from perfect_engine import run as rules
from perfect_engine.beginning import Beginnings
from perfect_engine.board import Board, Run
from perfect_engine.dispatch import Dispatch
from perfect_engine.family import Family
from perfect_engine.forks import Forks
from perfect_engine.limits import Limits
from perfect_engine.past import Past
from perfect_engine.run import Stamp
from perfect_engine.slots import HOLDING
from perfect_engine.tasks import Tasks
from perfect_engine.timers import Timers
from perfect_runtime.attendance import Attendance
from perfect_runtime.decider import handle
from perfect_runtime.service import Context
from perfect_schemas import codec, ids, subjects
from perfect_schemas.codec import UnknownEvent, encode
from perfect_schemas.commands import Control, Pausing, Presence
from perfect_schemas.envelope import Event
from perfect_schemas.errors import BusUnavailable, PerfectError
from perfect_schemas.events import RunScheduled, RunStarted
from perfect_schemas.events.statistic import PerformanceWarned
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.follow import Following

CANCEL_MARGIN_S = 2.0
AGAIN_S = 0.1
ENDS = (*loading.ENDS, PerformanceWarned, UnknownEvent)
PREFIX = len(subjects.run(""))


class Process:
    def __init__(self, context: Context) -> None:
        self._context = context
        self.bus = context.bus
        self._log = context.log
        self._lease_s = context.settings.lease_s
        self._cancel_after_s = context.settings.cancel_grace_s + CANCEL_MARGIN_S
        self.board = Board(self._changed)
        self.attendance = Attendance(context, self)
        self.timers = Timers(context, self._due)
        self.family = Family(self)
        self.tasks = Tasks(self)
        self.past = Past(self, context.settings.purge_after_s)
        self.forks = Forks(self)
        self.beginnings = Beginnings(self)
        self.limits = Limits(
            context,
            self.board,
            changed=self._limit_changed,
            life_of=self.family.life_of,
            spawn=self.spawn,
        )
        self.dispatch = Dispatch(context, self.board, self._queue_again, self.limits.left)
        self.run_ended: Callable[[RunLife], None] = lambda _: None
        self.pending = 0
        self._deadlines: set[asyncio.TimerHandle] = set()
        self._following: Following | None = None

    async def start(self) -> None:
        seq = await loading.load(self.bus, self.board)
        self._following = await self.bus.follow("EVENTS", self._heard, after=seq, subject=subjects.ALL_RUNS)
        await self.limits.start()
        await self.timers.start()
        await self.attendance.start()
        self.tasks.start()
        self.board.open()
        for run in list(self.board.runs.values()):
            self._changed(run, None)
            self.family.check_orphan(run)
        self.limits.settle()

    async def stop(self) -> None:
        self.attendance.stop()
        self.tasks.stop()
        self.dispatch.stop()
        for timer in self._deadlines:
            timer.cancel()
        await self.timers.stop()
        await self.limits.stop()
        if self._following is not None:
            await self._following.unsubscribe()

    def now(self) -> datetime:
        return self._context.clock()

    def stamp(self) -> Stamp:
        return Stamp(now=self._context.clock(), event_id=ids.uuid7())

    # -- what happens

    async def _heard(self, msg: "Msg", seq: int) -> None:
        self.pending = int(msg.reply.rpartition(".")[2])
        run = self.board.run(msg.subject[PREFIX:])
        event = codec.decode(msg.data)
        if run.state is not None or isinstance(event, RunScheduled):
            run.apply(event, seq)
        elif not isinstance(event, ENDS):  # of a run that had left the board and was retried
            self.spawn(lambda: self._read(run), "read a retried run")

    def _limit_changed(self) -> None:
        self.dispatch.soon()

    def _changed(self, run: Run, before: RunLife | None) -> None:
        life = run.state
        assert life is not None
        if before is not None and revival.due_of(before) is not None and revival.due_of(life) is None:
            self.timers.disarm(run.id)
        if before is not None and before.state is RunState.PAUSED and life.state is not RunState.PAUSED:
            self.tasks.end(run.id)
            if life.state.is_final:
                self.spawn(lambda: self._tell_keeper(run.id), "tell who keeps its code")
        self.limits.run_changed(life)
        _REACTIONS[life.state](self, run, life)
        if before is None or before.state in HOLDING or before.state is RunState.PENDING:
            self.dispatch.soon()

    def _on_scheduled(self, run: Run, life: RunLife) -> None:
        if fork.is_open(life):
            self.forks.begin(run)
        elif rules.needs_queueing(life, self._context.clock()):
            if not self.beginnings.queues(run.id):
                self.decide_soon(run, lambda life: rules.queue(life, self.stamp()), "queue")
        elif life.origin == "local" and life.epoch == 0:
            self._later(
                2 * self._lease_s,
                lambda: self.decide_soon(run, lambda life: rules.abandon(life, self.stamp()), "abandon"),
            )
        elif (due_at := revival.due_of(life)) is not None:
            self.timers.arm(run.id, due_at)

    def _on_pending(self, run: Run, life: RunLife) -> None:
        self.family.may_go_on(run.id, life)
        if rules.needs_queueing(life, self._context.clock()):
            self.spawn(lambda: self._give_back(run), "queue again")
        else:
            self.dispatch.soon()

    def _on_held(self, run: Run, life: RunLife) -> None:
        if life.client_id is not None:
            self.attendance.judge([life.client_id])
        if life.state is RunState.CANCELLING:
            self.family.end_children(run.id, life)
            self._later(
                self._cancel_after_s,
                lambda: self.decide_soon(
                    run, lambda life: rules.end_cancelling(life, self.stamp()), "end cancelling"
                ),
            )

    def _on_paused(self, run: Run, life: RunLife) -> None:
        """Nobody runs it: the clock, the end of a child or of a distributed task, or a person's input wakes it."""
        if life.awaited is not None:
            self.tasks.begin(run, life)
        due_at = revival.due_of(life)
        if due_at is not None:
            if due_at <= self._context.clock():
                self.decide_soon(run, lambda life: revival.wake(life, self.stamp()), "wake")
                return
            self.timers.arm(run.id, due_at)
        for child_id in revival.awaited_children(life):
            self.family.waits_for_child(run, child_id)

    def _on_final(self, run: Run, life: RunLife) -> None:
        self.family.ended(run.id, life)
        self.tasks.forget(run.id)
        self.run_ended(life)

    def _due(self, run_id: str) -> None:
        run = self.board.runs.get(run_id)
        if run is not None and run.state is not None and revival.due_of(run.state) is not None:
            _REACTIONS[run.state.state](self, run, run.state)

    # -- clients

    def client_changed(self, client: Presence) -> None:
        self.dispatch.client_changed(client)

    def client_gone(self, client_id: str) -> None:
        self.dispatch.client_gone(client_id)

    def client_lost(self, client_id: str) -> None:
        self.tasks.client_lost(client_id)
        for run_id in sorted(self.board.held.get(client_id, ())):
            run = self.board.run(run_id)
            self._log.warning("run lost", run=run_id, client=client_id)
            self.decide_soon(
                run,
                lambda life: rules.lose(
                    life, client_id, self.stamp(), is_served=life is not None and self.dispatch.serves(life)
                ),
                "lose",
            )

    async def _read(self, run: Run) -> None:
        run.catch_up(await self.bus.read(run.subject, after=run.seq))

    def _queue_again(self, run_id: str, queued_seq: int) -> None:
        self.decide_soon(
            self.board.run(run_id),
            lambda life: rules.queue_again(life, queued_seq, self.stamp()),
            "queue again",
        )

    async def _give_back(self, run: Run) -> None:
        losses = await loading.losses_in_a_row(self.bus, run.id, rules.INFRA_RETRIES)
        if losses >= rules.INFRA_RETRIES:
            await self.decide(run, lambda life: rules.give_up(life, losses, self.stamp()))
        else:
            await self.decide(run, lambda life: rules.queue(life, self.stamp()))

    async def tell_cancelled(self, life: RunLife | None) -> None:
        """The client that holds a run that is being cancelled hears it at once."""
        if life is not None and life.state is RunState.CANCELLING and life.client_id is not None:
            await self._tell_cancel(life.client_id, life.id)

    async def _tell_keeper(self, run_id: str) -> None:
        """The run was suspended, and ended: whoever held it last may keep its code in memory, which is to end, too."""
        claims = [
            event for _, event in await self.bus.read(subjects.run(run_id)) if isinstance(event, RunStarted)
        ]
        if claims:
            await self._tell_cancel(claims[-1].client_id, run_id)

    async def _tell_cancel(self, client_id: str, run_id: str) -> None:
        await self.bus.nc.publish(subjects.control(client_id), encode(Control(verb="cancel", run_id=run_id)))

    async def tell_pausing(self, life: RunLife | None) -> None:
        """The client that holds a run that is to pause hears it at once."""
        if life is None or life.state is not RunState.RUNNING or life.client_id is None:
            return
        pausing = Pausing(run_id=life.id, epoch=life.epoch)
        await self.bus.nc.publish(subjects.control_pause(life.client_id), encode(pausing))

    # -- doing

    async def decide(
        self, run: Run, decide: Callable[[RunLife | None], Sequence[Event]]
    ) -> list[tuple[int, Event]]:
        """What was stored: (sequence, event)."""
        try:
            return await handle(self.bus, run, decide)
        except BusUnavailable:
            raise
        except PerfectError as error:
            self._log.error("a decision failed", run=run.id, error=error.detail)
            return []

    def spawn(self, work: Callable[[], Coroutine[Any, Any, Any]], name: str) -> None:
        self._context.spawn(self.persist(work), name)

    async def persist(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """However long the bus is away: it is done when it is back."""
        while True:
            try:
                await work()
            except BusUnavailable as error:
                self._log.warning("the bus is away, trying again", error=error.detail)
                await asyncio.sleep(AGAIN_S)
            else:
                return

    def decide_soon(self, run: Run, decide: Callable[[RunLife | None], Sequence[Event]], name: str) -> None:
        self.spawn(lambda: self.decide(run, decide), name)

    def _later(self, delay_s: float, what: Callable[[], None]) -> None:
        def fire() -> None:
            self._deadlines.discard(timer)
            what()

        timer = asyncio.get_running_loop().call_later(delay_s, fire)
        self._deadlines.add(timer)


_REACTIONS: dict[RunState, Callable[[Process, Run, RunLife], None]] = {
    RunState.SCHEDULED: Process._on_scheduled,
    RunState.PENDING: Process._on_pending,
    RunState.RUNNING: Process._on_held,
    RunState.CANCELLING: Process._on_held,
    RunState.PAUSED: Process._on_paused,
    RunState.COMPLETED: Process._on_final,
    RunState.FAILED: Process._on_final,
    RunState.CANCELLED: Process._on_final,
    RunState.CRASHED: Process._on_final,
}
