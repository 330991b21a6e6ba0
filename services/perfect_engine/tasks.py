"""Waking runs that are suspended for distributed tasks: when one of these has ended, or the worker that has it is gone.

What is said of a run's tasks is heard as it is published, by a plain subscription, which costs nothing while nothing is
said, however many runs wait. It is only a hint: what counts is read from the stream, also after each reconnection.
"""

import asyncio
from typing import TYPE_CHECKING

from nats.aio.subscription import Subscription

from perfect_engine import revival
from perfect_engine.awaited import Awaited, decode
from perfect_engine.board import Run
from perfect_schemas import subjects
from perfect_schemas.events import TaskCompleted, TaskFailed, TaskStarted
from perfect_schemas.folds.run import RunLife

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_engine.process import Process

HINTS = (TaskStarted, TaskCompleted, TaskFailed)
SOON_S = 0.05  # a message is heard before it is stored: it is looked for again, each time after twice as long
PATIENCE_S = 10.0


class Watch:
    """One suspension. hints: ids of events that were heard and not found on the stream yet."""

    def __init__(self, run: Run, life: RunLife) -> None:
        self.run = run
        self.awaited = Awaited(life)
        self.hints: set[str] = set()
        self.subscription: Subscription | None = None
        self.is_looking = False
        self.is_to_look = False
        self.delay_s = SOON_S
        self.timer: asyncio.TimerHandle | None = None


class Tasks:
    def __init__(self, process: "Process") -> None:
        self._process = process
        self._bus = process.bus
        self._watches: dict[str, Watch] = {}
        self._told: dict[str, dict[str, int]] = {}  # run id → client → up to where the run knows of its loss

    def start(self) -> None:
        self._bus.reconnected.append(self._reconnected)

    def stop(self) -> None:
        if self._reconnected in self._bus.reconnected:
            self._bus.reconnected.remove(self._reconnected)
        for run_id in list(self._watches):
            self.end(run_id)

    def begin(self, run: Run, life: RunLife) -> None:
        """The run is suspended, for distributed tasks too."""
        watch = self._watches.get(run.id)
        if watch is not None and watch.awaited.seq == life.last_seq:
            return
        self.end(run.id)
        watch = self._watches[run.id] = Watch(run, life)
        self._process.spawn(lambda: self._begin(watch), "watch distributed tasks")

    def end(self, run_id: str) -> None:
        """It is suspended no more."""
        watch = self._watches.pop(run_id, None)
        if watch is None:
            return
        if watch.timer is not None:
            watch.timer.cancel()
        if watch.subscription is not None:
            self._process.spawn(watch.subscription.unsubscribe, "end of a watch")

    def forget(self, run_id: str) -> None:
        """The run has ended."""
        self._told.pop(run_id, None)

    def client_lost(self, client_id: str) -> None:
        for watch in list(self._watches.values()):
            if client_id in watch.awaited.clients(self._told.get(watch.run.id, {})):
                self._process.spawn(lambda watch=watch: self._tell(watch, client_id), "tell of a lost client")

    # -- looking

    async def _begin(self, watch: Watch) -> None:
        async def heard(msg: "Msg") -> None:
            event = decode(msg.data)
            if isinstance(event, HINTS):
                watch.hints.add(event.id)
                self._look_soon(watch)

        if self._is_on(watch):
            subject = subjects.task(watch.run.id)
            subscription = await self._bus.nc.subscribe(subject, cb=heard)
            if not self._is_on(watch):
                await subscription.unsubscribe()
                return
            watch.subscription = subscription
            self._look_soon(watch)

    def _is_on(self, watch: Watch) -> bool:
        return self._watches.get(watch.run.id) is watch

    def _reconnected(self) -> None:
        for watch in list(self._watches.values()):
            self._look_soon(watch)

    def _look_soon(self, watch: Watch) -> None:
        watch.delay_s = SOON_S
        self._look(watch)

    def _look(self, watch: Watch) -> None:
        if not self._is_on(watch):
            return
        if watch.is_looking:
            watch.is_to_look = True
            return
        watch.is_looking = True
        self._process.spawn(lambda: self._read(watch), "look at distributed tasks")

    async def _read(self, watch: Watch) -> None:
        awaited = watch.awaited
        messages = await self._bus.read_raw(subjects.task(watch.run.id), after=awaited.position)
        for seq, _, data in messages:
            watch.hints.discard(awaited.apply(data, seq) or "")
        watch.is_looking = False
        if not self._is_on(watch):
            return
        if awaited.is_over:
            self._wake(watch)
            return
        self._process.attendance.judge(awaited.clients(self._told.get(watch.run.id, {})))
        if watch.is_to_look:
            watch.is_to_look = False
            self._look(watch)
        elif watch.hints:
            self._look_later(watch)

    def _look_later(self, watch: Watch) -> None:
        """Who published it sends it again until it is stored, which is heard again: this comes to an end."""
        if watch.timer is not None:
            watch.timer.cancel()
        if watch.delay_s > PATIENCE_S:
            watch.hints.clear()
            return
        watch.timer = asyncio.get_running_loop().call_later(watch.delay_s, self._look, watch)
        watch.delay_s *= 2

    def _wake(self, watch: Watch) -> None:
        seq, stamp = watch.awaited.seq, self._process.stamp
        self._process.decide_soon(
            watch.run, lambda life: revival.task_over(life, seq, stamp(), None), "wake for a task"
        )

    async def _tell(self, watch: Watch, client_id: str) -> None:
        """Once: a task that nobody waits for any more, which is never handed over again, does not wake it twice."""
        seq, stamp = watch.awaited.seq, self._process.stamp
        stored = await self._process.decide(
            watch.run, lambda life: revival.task_over(life, seq, stamp(), client_id)
        )
        for told_at, _ in stored:
            self._told.setdefault(watch.run.id, {})[client_id] = told_at
