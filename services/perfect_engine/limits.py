"""The limits' shell: who is in is folded from DEFS, who wants in waits here, and each change lets the next ones in.

A grant ends with its release, or with the epoch of the run that holds it: the engine hears of both.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from perfect_engine import rates, slots
from perfect_engine.board import Board
from perfect_engine.run import Stamp
from perfect_engine.slots import Asker, Limit
from perfect_runtime.decider import Aggregate, handle
from perfect_runtime.nudge import Nudge
from perfect_runtime.service import Context
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import Acquired, AcquireSlots, Forget, Holder, SpendSlots, Spent
from perfect_schemas.errors import Conflicting, NotFound, PerfectError
from perfect_schemas.events import LimitCondensed
from perfect_schemas.folds.run import RunLife

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.follow import Following

STREAM = "DEFS"
CONDENSE_AFTER = 1000  # events on a limit's subject
Key = tuple[str, int, str, tuple[str, ...]]


class Waiting:
    """An asker in the queue. asking: how many of its questions are open. let_in: set when it is, or cannot be."""

    __slots__ = ("asker", "asking", "drop", "flow_name", "let_in", "since")

    def __init__(self, asker: Asker, flow_name: str, since: datetime) -> None:
        self.asker = asker
        self.flow_name = flow_name
        self.since = since
        self.asking = 0
        self.let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.drop: asyncio.TimerHandle | None = None


class Limits:
    """changed(): called when the limit of a flow may let more of its runs go. life_of(run id): as the streams say it.

    spawn(work, name): runs it in the background, again and again while the bus is away.
    """

    def __init__(
        self,
        context: Context,
        board: Board,
        *,
        changed: Callable[[], None],
        life_of: Callable[[str], Coroutine[Any, Any, RunLife | None]],
        spawn: Callable[[Callable[[], Coroutine[Any, Any, None]], str], None],
    ) -> None:
        self._context = context
        self._bus = context.bus
        self._board = board
        self._changed = changed
        self._life_of = life_of
        self._spawn = spawn
        self._keep_s = context.settings.lease_s
        self._folds: dict[str, Aggregate[Limit]] = {}
        self._queue: dict[Key, Waiting] = {}
        self._unclaimed: dict[Key, asyncio.TimerHandle] = {}
        self._said: dict[str, int] = {}  # subject → events since it was condensed
        self._numbers = 0
        self._is_due = False
        self._is_busy = False
        self._following: Following | None = None
        self._moved = Nudge(context.bus, subjects.live_limits())

    async def start(self) -> None:
        seq = 0
        for seq, subject, data in await self._bus.read_raw(subjects.ALL_LIMITS, stream=STREAM):
            event = codec.decode(data)
            self._fold(subject).apply(event, seq)
            self._count(subject, 1, is_condensed=isinstance(event, LimitCondensed))
        self._following = await self._bus.follow(STREAM, self._heard, after=seq, subject=subjects.ALL_LIMITS)

    def settle(self) -> None:
        """Once the board is there: end what ended while no engine was, and let go of what is not needed."""
        for subject in list(self._said):
            self._condense_if_long(subject)
        for run_id in {run_id for limit in self.all() for run_id in limit.grants}:
            self._spawn(lambda run_id=run_id: self._settle(run_id), "settle slots")

    async def stop(self) -> None:
        self._moved.close()
        for waiting in self._queue.values():
            _cancel(waiting.drop)
        for timer in self._unclaimed.values():
            timer.cancel()
        if self._following is not None:
            await self._following.unsubscribe()

    # -- what there is

    def all(self) -> list[Limit]:
        return [fold.state for fold in self._folds.values() if fold.state is not None]

    def get(self, name: str) -> Limit | None:
        fold = self._folds.get(subjects.limit(ids.limit_id(name)))
        return fold.state if fold is not None else None

    def of_flow(self, flow_name: str) -> int | None:
        limit = self.get(slots.FLOW + flow_name)
        return limit.slots if limit is not None else None

    def left(self) -> Mapping[str, int]:
        """Flow id → how many more of its runs may go, for the flows that have a limit."""
        board, found = self._board, {}
        for limit in self.all():
            if limit.slots is not None and limit.name.startswith(slots.FLOW):
                flow_id = ids.flow_id(limit.name.removeprefix(slots.FLOW))
                taken = len(board.running.get(flow_id, ())) + board.handed_of(flow_id)
                found[flow_id] = limit.slots - taken
        return found

    def waiting(self, name: str | None = None, run_id: str | None = None) -> list[Waiting]:
        """In order of turn."""
        found = [
            one
            for one in self._queue.values()
            if (name is None or name in one.asker.names)
            and (run_id is None or one.asker.holder.run_id == run_id)
        ]
        return sorted(found, key=lambda one: one.asker)

    # -- commands

    async def set(self, name: str, count: int, by: str, decay: float = 0.0) -> None:
        await self._handle(name, lambda limit: slots.set_limit(limit, name, count, by, self._stamp(), decay))
        self._let_in_soon()
        self._changed()

    async def remove(self, name: str, by: str) -> None:
        await self._handle(name, lambda limit: slots.remove_limit(limit, name, by, self._stamp()))
        self._let_in_soon()
        self._changed()

    async def acquire(self, command: AcquireSlots, life: RunLife, *, say: Callable[[Asker], str]) -> Acquired:
        """Raises Conflicting when the holder's epoch is over. say(asker): what it waits for."""
        holder, names = command.holder, tuple(sorted(set(command.names)))
        check_holds(life, holder)
        key = (holder.run_id, holder.epoch, holder.key, names)
        _cancel(self._unclaimed.pop(key, None))
        if all(self._is_open(name, holder) for name in names):
            return Acquired(granted=True)
        waiting = self._queue.get(key)
        if waiting is None:
            self._numbers += 1
            asker = Asker(
                rank=-life.priority,
                number=self._numbers,
                holder=holder,
                names=names,
                occupy=command.occupy,
            )
            waiting = self._queue[key] = Waiting(asker, life.flow_name, self._context.clock())
            self._moved.soon()
        _cancel(waiting.drop)
        waiting.asking += 1
        self._let_in_soon()
        try:
            await asyncio.wait({waiting.let_in}, timeout=command.wait_s)
        finally:
            waiting.asking -= 1
            if not waiting.asking and not waiting.let_in.done():
                loop = asyncio.get_running_loop()
                waiting.drop = loop.call_later(self._keep_s, self._forget, key)
        if waiting.let_in.done():
            waiting.let_in.result()
            return Acquired(granted=True)
        return Acquired(granted=False, waiting_for=say(waiting.asker))

    async def spend(self, command: SpendSlots) -> Spent:
        """Raises Conflicting, InvalidInput."""
        names = sorted(set(command.names))
        stamp = self._stamp()
        asked = [self._spending(self.get(name), name, command, stamp) for name in names]
        wait_s = max(one.wait_s for one in asked)
        if command.within_s is not None and wait_s > command.within_s:
            return Spent(granted=False, wait_s=wait_s)
        for name in names:
            made: list[rates.Spending] = []

            def decide(limit: Limit | None, name: str = name, made: list[rates.Spending] = made) -> Any:
                made.append(self._spending(limit, name, command, self._stamp()))
                return made[-1].events

            await self._handle(name, decide)
            wait_s = max(wait_s, made[-1].wait_s)
        return Spent(granted=True, wait_s=wait_s)

    def _spending(
        self, limit: Limit | None, name: str, command: SpendSlots, stamp: Stamp
    ) -> "rates.Spending":
        return rates.spend(limit, name, command.holder, command.occupy, stamp)

    def check_there(self, names: list[str]) -> None:
        """Raises NotFound naming those that have no limit."""
        missing = [name for name in names if (found := self.get(name)) is None or found.slots is None]
        if missing:
            raise NotFound(
                f"there is no limit {', '.join(map(repr, missing))}: `perfect limits set NAME SLOTS`"
            )

    async def release(self, names: list[str], holder: Holder) -> None:
        """What it holds, and its places in the queue."""
        for key in [key for key in self._queue if key[:3] == (holder.run_id, holder.epoch, holder.key)]:
            self._forget(key)
        for name in sorted(set(names)):
            await self._release(name, holder, "released")
        self._let_in_soon()

    # -- what happens

    def run_changed(self, life: RunLife) -> None:
        for name, holder, reason in slots.over(self.all(), life):
            self._spawn(
                lambda name=name, holder=holder, reason=reason: self._release_over(name, holder, reason),
                "release a slot",
            )
        for key in [key for key in self._queue if key[0] == life.id]:
            waiting = self._queue[key]
            if slots.why_over(life, waiting.asker.holder.epoch) is not None:
                self._forget(key)
                if not waiting.let_in.done():
                    waiting.let_in.set_exception(_superseded(life, waiting.asker.holder))
                    waiting.let_in.exception()  # seen, also when nobody is asking just now

    async def _heard(self, msg: "Msg", seq: int) -> None:
        fold = self._fold(msg.subject)
        before = fold.state
        fold.apply(codec.decode(msg.data), seq)
        if fold.state is not before:  # said by another engine
            self._count(msg.subject, 1)
            self._let_in_soon()
            self._changed()

    async def _settle(self, run_id: str) -> None:
        run = self._board.runs.get(run_id)
        life = run.state if run is not None else await self._life_of(run_id)
        if life is not None:
            self.run_changed(life)
            return
        for limit in self.all():  # its events are gone from the bus: it ended long ago
            for epoch, key in limit.grants.get(run_id, ()):
                await self._release(limit.name, Holder(run_id=run_id, epoch=epoch, key=key), "run ended")

    # -- letting in

    def _let_in_soon(self) -> None:
        self._is_due = True
        if not self._is_busy and self._queue:
            self._is_busy = True
            self._spawn(self._let_in_all, "grant slots")

    async def _let_in_all(self) -> None:
        """One at a time: what is decided is folded in before the next decision."""
        try:
            while self._is_due:
                self._is_due = False
                queue = [one.asker for one in self.waiting()]
                limits = {limit.name: limit for limit in self.all()}
                for asker in slots.next_grants(queue, limits):
                    await self._let_in(asker)
        except BaseException:
            self._is_due = True
            raise
        self._is_busy = False

    async def _let_in(self, asker: Asker) -> None:
        holder = asker.holder
        key = (holder.run_id, holder.epoch, holder.key, asker.names)
        got: list[str] = []
        for name in asker.names:
            await self._handle(
                name,
                lambda limit, name=name: slots.grant(limit, name, holder, asker.occupy, self._stamp()),
            )
            if not self._is_open(name, holder):
                break
            got.append(name)
        waiting = self._queue.get(key)
        if waiting is None or len(got) < len(asker.names):  # gone meanwhile, or another engine was faster
            for name in got:
                await self._release(name, holder, "released")
            self._is_due = True
            return
        self._forget(key)
        waiting.let_in.set_result(None)
        if not waiting.asking:
            self._unclaimed[key] = asyncio.get_running_loop().call_later(self._keep_s, self._take_back, key)

    def _take_back(self, key: Key) -> None:
        """Nobody has come for it within a lease."""
        self._unclaimed.pop(key, None)
        holder = Holder(run_id=key[0], epoch=key[1], key=key[2])
        self._spawn(lambda: self.release(list(key[3]), holder), "take back a slot")

    def _is_open(self, name: str, holder: Holder) -> bool:
        limit = self.get(name)
        return limit is None or limit.slots is None or limit.holds(holder)

    async def _release_over(self, name: str, holder: Holder, reason: str) -> None:
        await self._release(name, holder, reason)
        self._let_in_soon()

    async def _release(self, name: str, holder: Holder, reason: str) -> None:
        if name and self.get(name) is not None:
            await self._handle(name, lambda limit: slots.release(limit, holder, reason, self._stamp()))

    def _forget(self, key: Key) -> None:
        waiting = self._queue.pop(key, None)
        if waiting is not None:
            _cancel(waiting.drop)
            self._moved.soon()
            self._let_in_soon()  # whoever stood behind it

    async def _handle(self, name: str, decide: Callable[[Limit | None], Any]) -> None:
        subject = subjects.limit(ids.limit_id(name))
        self._count(subject, len(await handle(self._bus, self._fold(subject), decide)))
        self._condense_if_long(subject)

    def _count(self, subject: str, events: int, *, is_condensed: bool = False) -> None:
        self._said[subject] = 0 if is_condensed else self._said.get(subject, 0) + events

    def _condense_if_long(self, subject: str) -> None:
        if self._said[subject] >= CONDENSE_AFTER:
            self._said[subject] = 0
            self._spawn(lambda: self._condense(subject), "condense a limit")

    async def _condense(self, subject: str) -> None:
        """A kill between the two is harmless: what should have gone goes with the next."""
        stored = await handle(
            self._bus, self._fold(subject), lambda limit: slots.condense(limit, self._stamp())
        )
        for seq, _ in stored:
            try:
                await self._bus.ask(
                    subjects.command("projector", "forget"), Forget(subject=subject, through=seq - 1)
                )
            except PerfectError as error:
                self._context.log.info("a limit's past stays on the bus", limit=subject, error=error.detail)

    def _fold(self, subject: str) -> Aggregate[Limit]:
        found = self._folds.get(subject)
        if found is None:
            found = self._folds[subject] = Aggregate(subject, slots.evolve)
        return found

    def _stamp(self) -> Stamp:
        return Stamp(now=self._context.clock(), event_id=ids.uuid7())


def check_holds(life: RunLife, holder: Holder) -> None:
    """Raises Conflicting when the run is not in that epoch (any more)."""
    if slots.why_over(life, holder.epoch) is not None:
        raise _superseded(life, holder)


def _superseded(life: RunLife, holder: Holder) -> Conflicting:
    return Conflicting(
        f"run {life.id} is {life.state} in epoch {life.epoch}: epoch {holder.epoch} holds no slots any more"
    )


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
