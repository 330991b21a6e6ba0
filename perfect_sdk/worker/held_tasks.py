"""The distributed tasks of a worker: claimed, given to executors, stopped with their runs, begun again when an
executor dies. Claim first, then acknowledge the hand-over, then run.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from perfect_bus import Bus
from perfect_bus.claim import read_history
from perfect_bus.dispatch import claim_task, is_open
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import TaskHandOver
from perfect_schemas.envelope import ErrorInfo, utc_now
from perfect_schemas.errors import BusUnavailable, PerfectError
from perfect_schemas.events import TaskFailed
from perfect_schemas.folds.history import History
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import TaskState
from perfect_sdk.worker.child import Child
from perfect_sdk.worker.crew import Crew
from perfect_sdk.worker.frames import StartTask, StopTask, TaskEnded
from perfect_sdk.worker.held import MAX_DEATHS
from perfect_sdk.worker.run_watch import RunWatch

AGAIN_S = 0.1


class HeldTask(msgspec.Struct, kw_only=True):
    """One dispatch that is this worker's. is_claimed: nothing of it has run yet. deaths: executors that ended under it."""

    hand_over: TaskHandOver
    since: datetime
    is_claimed: bool = True
    deaths: int = 0
    stopping: StopTask | None = None

    @property
    def suspect(self) -> bool:
        return self.deaths >= MAX_DEATHS - 1


class HeldTasks:
    """`changed()`: a place has become free."""

    def __init__(
        self,
        bus: Bus,
        crew: Crew,
        *,
        client_id: str,
        cancel_grace_s: float,
        changed: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._bus = bus
        self._crew = crew
        self._client_id = client_id
        self._grace_s = cancel_grace_s
        self._changed = changed
        self._say = say
        self._claiming: set[str] = set()
        self._held: dict[str, HeldTask] = {}
        self._where: dict[str, Child] = {}
        self._waiting: deque[str] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._watch = RunWatch(bus, over=self._run_over, replaced=self._replaced, spawn=self._spawn)

    @property
    def count(self) -> int:
        """Places in use."""
        return len(self._held) + len(self._claiming)

    async def wait_empty(self) -> None:
        await self._empty.wait()

    # -- taking

    def take(self, hand_over: TaskHandOver, msg: Msg) -> None:
        dispatch_id = hand_over.dispatch_id
        if dispatch_id in self._claiming or dispatch_id in self._held:
            return  # a second delivery while the first is under way, which will be acknowledged
        self._claiming.add(dispatch_id)
        self._empty.clear()
        self._spawn(self._claim(hand_over, msg))

    async def _claim(self, hand_over: TaskHandOver, msg: Msg) -> None:
        after: int | None = None
        answer = b"+ACK"
        try:
            after = await self._until_known(hand_over, is_again=_is_again(msg))
        except PerfectError as error:
            self._say(f"task {_name(hand_over)} could not be claimed: {error.detail}")
            answer = b"-NAK"
        finally:
            self._claiming.discard(hand_over.dispatch_id)
        with contextlib.suppress(NatsError):  # else it is delivered again, and then found to be taken
            await self._bus.nc.publish(msg.reply, answer)
        if after is None:
            self._freed()
            return
        self._held[hand_over.dispatch_id] = HeldTask(hand_over=hand_over, since=utc_now())
        self._watch.begin(hand_over.run_id, after)
        self._waiting.append(hand_over.dispatch_id)
        self.place()

    async def _until_known(self, hand_over: TaskHandOver, *, is_again: bool) -> int | None:
        while True:
            try:
                return await claim_task(self._bus, hand_over, client_id=self._client_id, is_again=is_again)
            except BusUnavailable:
                is_again = True
                await asyncio.sleep(AGAIN_S)

    def place(self) -> None:
        """Give waiting tasks to executors that have room. Call it when an executor has become ready."""
        for dispatch_id in list(self._waiting):
            held = self._held[dispatch_id]
            child = self._crew.pick_solo() if held.suspect else self._crew.pick_for_task()
            if child is not None:
                self._waiting.remove(dispatch_id)
                self._start(held, child)

    def _start(self, held: HeldTask, child: Child) -> None:
        dispatch_id = held.hand_over.dispatch_id
        child.tasks.add(dispatch_id)
        self._where[dispatch_id] = child
        child.send(StartTask(hand_over=held.hand_over, is_claimed=held.is_claimed))
        if held.stopping is not None:
            self._tell(held, child)

    # -- ending

    def ended(self, child: Child, frame: TaskEnded) -> None:
        child.tasks.discard(frame.dispatch_id)
        self._where.pop(frame.dispatch_id, None)
        if child.solo and child.is_idle:
            child.dismiss()
        held = self._held.get(frame.dispatch_id)
        if held is None:
            return
        if frame.outcome == "error":
            self._say(f"task {_name(held.hand_over)} ended, but could not say so itself: {frame.detail}")
            self._spawn(self._fail(held, f"its end could not be written: {frame.detail}"))
        else:
            self._release(frame.dispatch_id)

    async def _fail(self, held: HeldTask, reason: str) -> None:
        hand_over = held.hand_over
        event = TaskFailed(
            id=ids.uuid7(),
            at=utc_now(),
            source=f"worker:{self._client_id}",
            run_id=hand_over.run_id,
            task_run_id=hand_over.task_run_id,
            task_key=hand_over.task_key,
            epoch=hand_over.epoch,
            attempt=hand_over.attempt,
            flow_version=hand_over.flow_version,
            task_id=hand_over.task_id,
            name=hand_over.name,
            ordinal=hand_over.ordinal,
            input_digest=hand_over.input_digest,
            dispatch_id=hand_over.dispatch_id,
            duration_ms=int((utc_now() - held.since).total_seconds() * 1000),
            error=ErrorInfo(kind="perfect_sdk.exceptions:LostTask", message=reason, args=[reason]),
        )
        while True:
            try:
                await self._bus.outbox.send(subjects.task(hand_over.run_id), codec.encode(event), event.id)
            except BusUnavailable:
                await asyncio.sleep(AGAIN_S)
            else:
                break
        self._release(hand_over.dispatch_id)

    def _release(self, dispatch_id: str) -> None:
        held = self._held.pop(dispatch_id, None)
        if held is not None:
            self._watch.end(held.hand_over.run_id)
        if dispatch_id in self._waiting:
            self._waiting.remove(dispatch_id)
        self._freed()

    def _freed(self) -> None:
        if not self.count:
            self._empty.set()
        self.place()
        self._changed()

    # -- stopping

    def _run_over(self, run_id: str) -> None:
        for held in list(self._held.values()):
            if held.hand_over.run_id == run_id:
                self._stop(held, is_cancelled=True)

    def _replaced(self, dispatch_id: str) -> None:
        held = self._held.get(dispatch_id)
        if held is not None:
            self._stop(held, is_cancelled=False)

    def _stop(self, held: HeldTask, *, is_cancelled: bool) -> None:
        if held.stopping is not None:
            return
        dispatch_id = held.hand_over.dispatch_id
        held.stopping = StopTask(dispatch_id=dispatch_id, is_cancelled=is_cancelled)
        child = self._where.get(dispatch_id)
        if child is not None:
            self._tell(held, child)
        elif dispatch_id in self._waiting:
            self._release(dispatch_id)

    def _tell(self, held: HeldTask, child: Child) -> None:
        assert held.stopping is not None
        child.send(held.stopping)
        asyncio.get_running_loop().call_later(self._grace_s, self._end_by_force, held, child)

    def _end_by_force(self, held: HeldTask, child: Child) -> None:
        if self._where.get(held.hand_over.dispatch_id) is child:
            why = f"task {_name(held.hand_over)} does not end although its run has"
            self._say(f"{why}: executor {child.number} is killed")
            child.kill(why)

    # -- recovering

    def child_died(self, child: Child) -> None:
        dispatches = sorted(child.tasks)
        child.tasks.clear()
        guilty = child.killed_for is None
        if dispatches:
            self._say(f"executor {child.number} ended; distributed tasks that it held: {len(dispatches)}")
        for dispatch_id in dispatches:
            self._where.pop(dispatch_id, None)
            held = self._held.get(dispatch_id)
            if held is None:
                continue
            if held.stopping is not None:
                self._release(dispatch_id)
            else:
                self._spawn(self._recover(held, guilty=guilty))
        self.place()

    async def _recover(self, held: HeldTask, *, guilty: bool) -> None:
        """Begin it again in another executor, if the dispatch is still this worker's."""
        hand_over = held.hand_over
        held.deaths += guilty
        history = await self._read(hand_over.run_id)
        life = history.tasks.get(hand_over.task_key)
        if (
            life is None
            or life.client_id != self._client_id
            or not is_open(history, hand_over, self._client_id)
        ):
            self._release(hand_over.dispatch_id)
        elif held.deaths >= MAX_DEATHS:
            await self._fail(held, f"the executor that ran it died {held.deaths} times in a row")
        elif hand_over.dispatch_id in self._held:
            held.hand_over = _where_it_stood(hand_over, life)
            held.is_claimed = False
            self._waiting.append(hand_over.dispatch_id)
            self.place()

    async def _read(self, run_id: str) -> History:
        while True:
            try:
                return await read_history(self._bus, run_id)
            except BusUnavailable:
                await asyncio.sleep(AGAIN_S)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(f"unexpected: {type(error).__name__}: {error}")


def _where_it_stood(hand_over: TaskHandOver, life: TaskLife) -> TaskHandOver:
    retrying = life.state is TaskState.RETRYING
    return msgspec.structs.replace(
        hand_over,
        attempt=life.attempt + retrying,
        next_at=life.next_at if retrying else None,
        replay=True,
    )


def _is_again(msg: Msg) -> bool:
    """Whether the message has been delivered before: $JS.ACK.<stream>.<consumer>.<deliveries>.<seq>.<seq>.<time>.<left>"""
    tokens = msg.reply.split(".")
    return len(tokens) < 5 or tokens[-5] != "1"


def _name(hand_over: TaskHandOver) -> str:
    return f"{hand_over.task_key!r} of run {hand_over.run_id}"
