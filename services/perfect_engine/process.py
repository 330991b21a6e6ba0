"""The shell around the decisions: what happens to a run, a client or the clock leads to the next decision here.

Each change of a run, however it became known, passes through `_changed`; each reaction is a decision by `handle()`,
so that two engines, or the same one after a kill, decide everything once.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from perfect_engine import loading
from perfect_engine import run as rules
from perfect_engine.board import HOLDING, Board, Run
from perfect_engine.dispatch import Dispatch
from perfect_engine.run import Stamp
from perfect_engine.timers import Timers
from perfect_runtime.attendance import Attendance
from perfect_runtime.decider import Aggregate, handle, read
from perfect_runtime.service import Context
from perfect_schemas import codec, ids, subjects
from perfect_schemas.codec import encode
from perfect_schemas.commands import Control, Presence
from perfect_schemas.envelope import Event
from perfect_schemas.errors import BusUnavailable, PerfectError
from perfect_schemas.events.run import RunRetried
from perfect_schemas.folds import run as fold
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.follow import Following

CANCEL_MARGIN_S = 2.0
PREFIX = len(subjects.run(""))


class Process:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._bus = context.bus
        self._log = context.log
        self._lease_s = context.settings.lease_s
        self._cancel_after_s = context.settings.cancel_grace_s + CANCEL_MARGIN_S
        self.board = Board(self._changed)
        self.attendance = Attendance(context, self)
        self.timers = Timers(context, self._due)
        self.dispatch = Dispatch(context, self.board, self._queue_again)
        self.pending = 0
        self._deadlines: set[asyncio.TimerHandle] = set()
        self._following: Following | None = None

    async def start(self) -> None:
        seq = await loading.load(self._bus, self.board)
        self._following = await self._bus.follow("EVENTS", self._heard, after=seq, subject=subjects.ALL_RUNS)
        await self.timers.start()
        await self.attendance.start()
        self.board.open()
        for run in list(self.board.runs.values()):
            self._changed(run, None)
            if run.state is not None and run.state.origin == "child":
                self._spawn(lambda run=run: self._check_orphan(run), "check for orphan")

    async def stop(self) -> None:
        self.attendance.stop()
        self.dispatch.stop()
        for timer in self._deadlines:
            timer.cancel()
        await self.timers.stop()
        if self._following is not None:
            await self._following.unsubscribe()

    def stamp(self) -> Stamp:
        return Stamp(now=self._context.clock(), event_id=ids.uuid7())

    # -- what happens

    async def _heard(self, msg: "Msg", seq: int) -> None:
        self.pending = int(msg.reply.rpartition(".")[2])
        run = self.board.run(msg.subject[PREFIX:])
        event = codec.decode(msg.data)
        if run.state is None and isinstance(event, RunRetried):  # of a run that had left the board
            self._spawn(lambda: self._read(run), "read a retried run")
            return
        run.apply(event, seq)

    def _changed(self, run: Run, before: RunLife | None) -> None:
        life = run.state
        assert life is not None
        if before is not None and before.state is RunState.SCHEDULED and life.state is not RunState.SCHEDULED:
            self.timers.disarm(run.id)
        _REACTIONS[life.state](self, run, life)
        if before is None or before.state in HOLDING or before.state is RunState.PENDING:
            self.dispatch.soon()

    def _on_scheduled(self, run: Run, life: RunLife) -> None:
        if rules.needs_queueing(life, self._context.clock()):
            self._decide_soon(run, lambda life: rules.queue(life, self.stamp()), "queue")
        elif life.origin == "local" and life.epoch == 0:
            self._later(
                2 * self._lease_s,
                lambda: self._decide_soon(run, lambda life: rules.abandon(life, self.stamp()), "abandon"),
            )
        elif life.due_at is not None and life.origin != "child":
            self.timers.arm(run.id, life.due_at)

    def _on_pending(self, run: Run, life: RunLife) -> None:
        if rules.needs_queueing(life, self._context.clock()):
            self._spawn(lambda: self._give_back(run), "queue again")
        else:
            self.dispatch.soon()

    def _on_held(self, run: Run, life: RunLife) -> None:
        if life.client_id is not None:
            self.attendance.judge([life.client_id])
        if life.state is RunState.CANCELLING:
            self._later(
                self._cancel_after_s,
                lambda: self._decide_soon(
                    run, lambda life: rules.end_cancelling(life, self.stamp()), "end cancelling"
                ),
            )

    def _on_paused(self, run: Run, life: RunLife) -> None:
        """Nobody runs it: what wakes it comes from elsewhere."""

    def _on_final(self, run: Run, life: RunLife) -> None:
        for child_id in list(self.board.children.get(run.id, ())):
            child = self.board.run(child_id)
            self._decide_soon(child, lambda child: rules.end_child(child, life, self.stamp()), "end child")

    def _due(self, run_id: str) -> None:
        run = self.board.runs.get(run_id)
        if run is not None and run.state is not None and run.state.state is RunState.SCHEDULED:
            self._on_scheduled(run, run.state)

    # -- clients

    def client_changed(self, client: Presence) -> None:
        self.dispatch.client_changed(client)

    def client_gone(self, client_id: str) -> None:
        self.dispatch.client_gone(client_id)

    def client_lost(self, client_id: str) -> None:
        for run_id in sorted(self.board.held.get(client_id, ())):
            run = self.board.run(run_id)
            self._log.warning("run lost", run=run_id, client=client_id)
            self._decide_soon(
                run,
                lambda life: rules.lose(
                    life, client_id, self.stamp(), is_served=life is not None and self.dispatch.serves(life)
                ),
                "lose",
            )

    async def _read(self, run: Run) -> None:
        await read(self._bus, run)

    async def _check_orphan(self, run: Run) -> None:
        """A child whose parent had ended before this engine started."""
        parent_id = run.state.parent_run_id if run.state is not None else None
        if parent_id is None or parent_id in self.board.runs:
            return
        parent = await read(self._bus, Aggregate(subjects.run(parent_id), fold.evolve))
        ended = parent.state
        if ended is not None and ended.state.is_final:
            await self._decide(run, lambda life: rules.end_child(life, ended, self.stamp()))

    def _queue_again(self, run_id: str, queued_seq: int) -> None:
        self._decide_soon(
            self.board.run(run_id),
            lambda life: rules.queue_again(life, queued_seq, self.stamp()),
            "queue again",
        )

    async def _give_back(self, run: Run) -> None:
        losses = await loading.losses_in_a_row(self._bus, run.id, rules.INFRA_RETRIES)
        if losses >= rules.INFRA_RETRIES:
            await self._decide(run, lambda life: rules.give_up(life, losses, self.stamp()))
        else:
            await self._decide(run, lambda life: rules.queue(life, self.stamp()))

    # -- commands

    async def cancel(self, run_id: str, by: str) -> None:
        """Raises NotFound, Conflicting."""
        run: Aggregate[RunLife] = self.board.run(run_id)
        if run.state is None:  # it has ended, or is too new to have been heard of
            run = await read(self._bus, Aggregate(run.subject, fold.evolve))
        await handle(self._bus, run, lambda life: rules.cancel(life, by, self.stamp()))
        life = run.state
        if life is not None and life.state is RunState.CANCELLING and life.client_id is not None:
            await self._bus.nc.publish(
                subjects.control(life.client_id), encode(Control(verb="cancel", run_id=run_id))
            )

    # -- doing

    async def _decide(self, run: Run, decide: Callable[[RunLife | None], Sequence[Event]]) -> None:
        try:
            await handle(self._bus, run, decide)
        except BusUnavailable:
            raise
        except PerfectError as error:
            self._log.error("a decision failed", run=run.id, error=error.detail)

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._context.spawn(self._persist(work), name)

    async def _persist(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """However long the bus is away: it is done when it is back."""
        while True:
            try:
                await work()
            except BusUnavailable as error:
                self._log.warning("the bus is away, trying again", error=error.detail)
            else:
                return

    def _decide_soon(self, run: Run, decide: Callable[[RunLife | None], Sequence[Event]], name: str) -> None:
        self._spawn(lambda: self._decide(run, decide), name)

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
