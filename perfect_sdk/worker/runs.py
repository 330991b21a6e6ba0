"""The runs of a worker: claimed, given to executors, cancelled, recovered when an executor dies.

Claim first, then acknowledge the hand-over, then run. A claim whose outcome is unknown (NATS is away) is repeated with
the same event id until it is known: a run must never be claimed by somebody who does not know it.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from perfect_bus import Bus
from perfect_bus.claim import Claim, claim
from perfect_schemas import ids
from perfect_schemas.commands import HandOver
from perfect_schemas.errors import BusUnavailable, PerfectError
from perfect_schemas.folds.run import is_pausing
from perfect_schemas.states import RunState
from perfect_sdk.worker.child import Child
from perfect_sdk.worker.crew import Crew
from perfect_sdk.worker.frames import Abandon, Cancel, Claimed, Ended, Pause, Prepare, Start, Unwound
from perfect_sdk.worker.held import Held, Recovery, judge, read_life

ENDED_WELL = frozenset({"completed", "failed", "cancelled", "superseded", "retrying", "suspended"})
Key = tuple[str, int]
HandOverName = tuple[str, int | str]
MAX_SUSPECTS = 1000


class Runs:
    """`changed()`: a slot has become free. `versions`: flow id → the version that this worker runs."""

    def __init__(
        self,
        bus: Bus,
        crew: Crew,
        *,
        client_id: str,
        client_name: str,
        cancel_grace_s: float,
        changed: Callable[[], None],
        say: Callable[[str], None],
    ) -> None:
        self._bus = bus
        self._crew = crew
        self._client_id = client_id
        self._client_name = client_name
        self._grace_s = cancel_grace_s
        self._changed = changed
        self._say = say
        self._recovery = Recovery(bus, client_id=client_id, client_name=client_name)
        self._claiming: set[HandOverName] = set()
        self._preparing: dict[HandOverName, Child] = {}  # who makes ready meanwhile
        self._held: dict[Key, Held] = {}
        self._where: dict[Key, Child] = {}
        self._waiting: deque[Held] = deque()
        self._kept: dict[str, tuple[Child, int]] = {}  # run id → who keeps its code, since which epoch
        self._cancelled: set[str] = set()  # cancelled while being claimed
        self._suspects: dict[str, tuple[int, int]] = {}  # given back: run id → deaths, counted_seq
        self._tasks: set[asyncio.Task[Any]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self.versions: dict[str, str | None] = {}

    @property
    def count(self) -> int:
        """Slots in use."""
        return len(self._held) + len(self._claiming)

    async def wait_empty(self) -> None:
        await self._empty.wait()

    # -- taking

    def take(self, hand_over: HandOver, msg: Msg | None) -> None:
        """msg: acknowledged once it is claimed; None for an offer."""
        name = (hand_over.run_id, hand_over.queued_id or hand_over.queued_seq)
        if name in self._claiming:
            return  # it came a second time while the first is under way
        self._claiming.add(name)
        self._empty.clear()
        self._spawn(self._claim(name, hand_over, msg))

    def _prepare(self, name: HandOverName, hand_over: HandOver) -> None:
        """Have an executor make ready for the run, while it is claimed: the one that will run it. Not where there is more to
        it, or where others wait for a place.
        """
        key = (hand_over.run_id, hand_over.epoch)
        is_plain = not hand_over.replay and hand_over.epoch == 1 and key not in self._held
        child = self._crew.pick(None) if is_plain and not self._waiting else None
        if child is not None:
            child.runs.add(key)
            self._preparing[name] = child
            version = self.versions.get(hand_over.flow_id)
            child.send(Prepare(hand_over=hand_over, epoch=hand_over.epoch, flow_version=version))

    async def _claim(self, name: HandOverName, hand_over: HandOver, msg: Msg | None) -> None:
        asyncio.get_running_loop().call_soon(self._prepare, name, hand_over)  # when the claim is on its way
        claimed: Claim | None = None
        answer = b"+ACK"
        try:
            claimed = await self._until_known(hand_over)
        except PerfectError as error:
            self._say(f"run {hand_over.run_id} could not be claimed: {error.detail}")
            answer = b"-NAK"
        finally:
            self._claiming.discard(name)
        child = self._preparing.pop(name, None)
        if claimed is None:
            await self._answer(msg, answer)
            key = (hand_over.run_id, hand_over.epoch)
            if child is not None and self._where.get(key) is not child:  # else by another hand-over
                child.runs.discard(key)
                child.send(Abandon(run_id=hand_over.run_id, epoch=hand_over.epoch))
            self._freed()
            return
        held = Held(
            hand_over=hand_over,
            epoch=claimed.epoch,
            claim_seq=claimed.seq,
            flow_version=self.versions.get(hand_over.flow_id),
            replay=hand_over.replay or claimed.epoch > 1,
        )
        held.deaths, held.counted_seq = self._suspects.pop(hand_over.run_id, (0, 0))
        self._hold(held, child if child is not None and held.key in child.runs else None)
        await self._answer(msg, answer)

    async def _answer(self, msg: Msg | None, answer: bytes) -> None:
        if msg is None:
            return
        with contextlib.suppress(NatsError):  # else it is delivered again, and the claim then refused
            await self._bus.nc.publish(msg.reply, answer)

    async def _until_known(self, hand_over: HandOver) -> Claim | None:
        event_id = ids.uuid7()
        while True:
            try:
                return await claim(
                    self._bus,
                    hand_over,
                    client_id=self._client_id,
                    client_name=self._client_name,
                    flow_version=self.versions.get(hand_over.flow_id),
                    event_id=event_id,
                )
            except BusUnavailable:
                await asyncio.sleep(0.1)

    def _hold(self, held: Held, prepared: Child | None = None) -> None:
        """prepared: the executor that is ready for it."""
        self._held[held.key] = held
        self._empty.clear()
        if held.hand_over.run_id in self._cancelled:
            self._cancelled.discard(held.hand_over.run_id)
            held.cancelling = True
        if prepared is None:
            self._waiting.append(held)
            self.place()
            return
        self._where[held.key] = prepared
        prepared.send(Claimed(run_id=held.hand_over.run_id, epoch=held.epoch, claim_seq=held.claim_seq))
        if held.cancelling:
            self._tell_cancel(held, prepared)

    def place(self) -> None:
        """Give waiting runs to executors that have room. Call it when an executor has become ready."""
        for held in list(self._waiting):
            keeper, _ = self._kept.get(held.hand_over.run_id, (None, 0))
            child = self._crew.pick_solo() if held.suspect else self._crew.pick(keeper)
            if child is not None:
                self._waiting.remove(held)
                self._start(held, child)

    def _start(self, held: Held, child: Child) -> None:
        keeper, epoch = self._kept.pop(held.hand_over.run_id, (child, 0))
        if keeper is not child:
            keeper.send(Abandon(run_id=held.hand_over.run_id, epoch=epoch))
        child.runs.add(held.key)
        self._where[held.key] = child
        child.send(
            Start(
                hand_over=held.hand_over,
                epoch=held.epoch,
                claim_seq=held.claim_seq,
                flow_version=held.flow_version,
                replay=held.replay,
            )
        )
        if held.cancelling:
            self._tell_cancel(held, child)

    # -- ending

    def ended(self, child: Child, frame: Ended) -> None:
        key = (frame.run_id, frame.epoch)
        child.runs.discard(key)
        self._where.pop(key, None)
        if child.solo and not any(one.suspect for one in self._waiting):
            child.dismiss()
        held = self._held.get(key)
        if held is None:
            return
        if frame.keeps and child.is_alive:
            self._kept[frame.run_id] = (child, frame.epoch)
            if held.cancelling:  # which its executor heard when the run was no longer running there
                self._unwind(frame.run_id)
        if frame.outcome in ENDED_WELL:
            self._release(key)
            return
        self._say(f"run {frame.run_id} is given back, its end could not be written: {frame.detail}")
        self._spawn(self._give_back(held, f"its end could not be written: {frame.detail}"))

    def unwound(self, child: Child, frame: Unwound) -> None:
        if self._kept.get(frame.run_id) == (child, frame.epoch):
            del self._kept[frame.run_id]

    async def _give_back(self, held: Held, reason: str) -> None:
        await self._recovery.give_back(held, reason)
        self._release(held.key)

    def _release(self, key: Key) -> None:
        self._held.pop(key, None)
        self._freed()

    def _freed(self) -> None:
        if not self._held and not self._claiming:
            self._empty.set()
        self.place()
        self._changed()

    # -- cancelling

    def cancel(self, run_id: str) -> None:
        held = next((one for one in self._held.values() if one.hand_over.run_id == run_id), None)
        if held is None:
            if any(run == run_id for run, _ in self._claiming):
                self._cancelled.add(run_id)
            elif run_id in self._kept:
                self._unwind(run_id)
            return
        if held.cancelling:
            return
        held.cancelling = True
        child = self._where.get(held.key)
        if child is not None:
            self._tell_cancel(held, child)

    def _unwind(self, run_id: str) -> None:
        """It ended while it waited: its code is left where it stands, and writes nothing."""
        keeper, epoch = self._kept.pop(run_id)
        keeper.send(Abandon(run_id=run_id, epoch=epoch))

    def _tell_cancel(self, held: Held, child: Child) -> None:
        child.send(Cancel(run_id=held.hand_over.run_id, epoch=held.epoch))
        self._end_by_force_later(held, child, "does not end after its cancellation")

    def _end_by_force_later(self, held: Held, child: Child, why: str) -> None:
        asyncio.get_running_loop().call_later(self._grace_s, self._end_by_force, held, child, why)

    def _end_by_force(self, held: Held, child: Child, why: str) -> None:
        if self._where.get(held.key) is child:
            self._say(f"run {held.hand_over.run_id} {why}: executor {child.number} is killed")
            child.kill(f"run {held.hand_over.run_id} {why}")

    def pause(self, run_id: str, epoch: int) -> None:
        """Tell its executor at once. What is missed here is found by the run's next append."""
        child = self._where.get((run_id, epoch))
        if child is not None:
            child.send(Pause(run_id=run_id, epoch=epoch))

    # -- recovering

    def child_died(self, child: Child) -> None:
        keys = sorted(child.runs)
        self._kept = {run_id: kept for run_id, kept in self._kept.items() if kept[0] is not child}
        child.runs.clear()
        guilty = child.killed_for is None
        what = f"; runs that it held: {len(keys)}" if keys else ""
        if keys or not child.solo:
            self._say(f"executor {child.number} (pid {child.pid}) {child.epitaph()}{what}")
        for key in keys:
            self._where.pop(key, None)
            held = self._held.get(key)
            if held is not None:
                self._spawn(self._recover(held, guilty=guilty))
        self.place()

    async def _recover(self, held: Held, *, guilty: bool) -> None:
        again = await self._recovery.after_death(held, guilty=guilty)
        if again is None:
            if held.suspect and len(self._suspects) < MAX_SUSPECTS:
                self._suspects[held.hand_over.run_id] = (held.deaths, held.counted_seq)
            self._release(held.key)
            return
        self._held.pop(held.key, None)
        self._hold(again)

    async def review(self) -> None:
        """After a reconnection: messages may have been missed, so read what became of every run that is held."""
        for held in list(self._held.values()):
            child = self._where.get(held.key)
            if child is None:
                continue
            life = (await read_life(self._bus, held.hand_over.run_id)).run
            if self._where.get(held.key) is not child:
                continue
            if life is not None and life.state is RunState.CANCELLING and life.epoch == held.epoch:
                self.cancel(held.hand_over.run_id)
            elif life is not None and is_pausing(life) and life.epoch == held.epoch:
                self.pause(held.hand_over.run_id, held.epoch)
            elif judge(life, held, self._client_id, deaths=0) == "drop" and not _is_ended(life, held):
                child.send(Abandon(run_id=held.hand_over.run_id, epoch=held.epoch))
                self._end_by_force_later(held, child, "belongs to another worker now and does not end")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._say(f"unexpected: {type(error).__name__}: {error}")


def _is_ended(life: object, held: Held) -> bool:
    """The run ended in this very epoch: the executor is about to say so."""
    return life is not None and life.epoch == held.epoch and life.state.is_final  # type: ignore[attr-defined]
