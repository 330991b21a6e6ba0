"""Commands about named limits: `perfect.cmd.engine.{set_limit, remove_limit, limits, acquire, release}`."""

import msgspec

from perfect_engine import slots, waiting
from perfect_engine.invalid import TEXT_LENGTH, of_message
from perfect_engine.limits import Limits, check_holds
from perfect_engine.process import Process
from perfect_engine.run_replies import DONE, QUEUE, check_run
from perfect_engine.slots import Asker, Limit
from perfect_runtime.service import Context
from perfect_schemas import ids, subjects
from perfect_schemas.commands import (
    AcquireSlots,
    Holder,
    LimitView,
    ReleaseSlots,
    RemoveLimit,
    Reply,
    SetLimit,
    SlotView,
    SpendSlots,
)
from perfect_schemas.errors import FieldError, NotFound, refuse
from perfect_schemas.folds.run import RunLife

MOST_SLOTS = 1_000_000
MOST_NAMES = 100
LONGEST_S = 30.0
_set = msgspec.json.Decoder(SetLimit).decode
_remove = msgspec.json.Decoder(RemoveLimit).decode
_spend = msgspec.json.Decoder(SpendSlots).decode
_acquire = msgspec.json.Decoder(AcquireSlots).decode
_release = msgspec.json.Decoder(ReleaseSlots).decode


class LimitReplies:
    def __init__(self, context: Context, process: Process) -> None:
        self._context = context
        self._bus = context.bus
        self._process = process
        self._limits: Limits = process.limits

    async def start(self) -> None:
        for verb, answer in (
            ("set_limit", self.set),
            ("remove_limit", self.remove),
            ("limits", self.show),
            ("acquire", self.acquire),
            ("release", self.release),
            ("spend", self.spend),
        ):
            await self._bus.answer(subjects.command("engine", verb), answer, queue=QUEUE)

    async def set(self, data: bytes) -> Reply:
        with of_message("the limit cannot be set"):
            command = _set(data)
        errors = _wrong_name(command.name, "name")
        if not 0 <= command.slots <= MOST_SLOTS:
            errors.append(FieldError("slots", f"must be between 0 and {MOST_SLOTS}"))
        decay = command.slot_decay_per_second
        if not 0 <= decay <= MOST_SLOTS:
            errors.append(FieldError("slot_decay_per_second", f"must be between 0 and {MOST_SLOTS}"))
        if decay and command.name.startswith(slots.FLOW):
            errors.append(
                FieldError("slot_decay_per_second", "is not for the runs of a flow, which hold slots")
            )
        refuse("the limit cannot be set", errors)
        await self._limits.set(command.name, command.slots, command.by, decay)
        return DONE

    async def remove(self, data: bytes) -> Reply:
        command = _remove(data)
        if self._limits.get(command.name) is None:
            raise NotFound(f"there is no limit {command.name[:TEXT_LENGTH]!r}")
        await self._limits.remove(command.name, command.by)
        return DONE

    async def show(self, _: bytes) -> Reply:
        shown = [self._view(limit) for limit in self._limits.all() if limit.slots is not None]
        return Reply.of(sorted(shown, key=lambda limit: limit.name))

    async def acquire(self, data: bytes) -> Reply:
        with of_message("no slot can be acquired"):
            command = _acquire(data)
        self._check(command)
        command = msgspec.structs.replace(command, wait_s=min(max(command.wait_s, 0.0), LONGEST_S))
        life = await self._life(command.holder)
        return Reply.of(await self._limits.acquire(command, life, say=self.sentence))

    async def spend(self, data: bytes) -> Reply:
        with of_message("no slot can be spent"):
            command = _spend(data)
        self._check(command)
        check_holds(await self._life(command.holder), command.holder)
        return Reply.of(await self._limits.spend(command))

    def _check(self, command: AcquireSlots | SpendSlots) -> None:
        errors = [] if command.names else [FieldError("names", "must name at least one limit")]
        if len(command.names) > MOST_NAMES:
            errors.append(FieldError("names", f"must be at most {MOST_NAMES}"))
        for n, name in enumerate(command.names[:MOST_NAMES]):
            errors += _wrong_name(name, f"names.{n}")
        if command.occupy < 1:
            errors.append(FieldError("occupy", "must be at least 1"))
        refuse("no slot can be acquired", errors)
        for name in command.names:
            slots.check_name(name)
        check_run(command.holder.run_id)
        if command.strict:
            self._limits.check_there(command.names)

    async def release(self, data: bytes) -> Reply:
        command = _release(data)
        check_run(command.holder.run_id)
        await self._limits.release(command.names, command.holder)
        return DONE

    def sentence(self, asker: Asker) -> str:
        limits = [limit for name in asker.names if (limit := self._limits.get(name)) is not None]
        ahead = [
            one
            for one in self._limits.waiting()
            if one.asker < asker and not set(one.asker.names).isdisjoint(asker.names)
        ]
        return waiting.slot_sentence(asker, limits, len(ahead))

    async def _life(self, holder: Holder) -> RunLife:
        """As the board has it, or newer: the claim may not have been heard of yet. Raises NotFound."""
        run = self._process.board.runs.get(holder.run_id)
        life = run.state if run is not None else None
        if life is None or slots.why_over(life, holder.epoch) is not None:
            life = await self._process.family.life_of(holder.run_id)
        if life is None:
            raise NotFound(f"there is no run {holder.run_id}")
        return life

    def _view(self, limit: Limit) -> LimitView:
        if limit.name.startswith(slots.FLOW):
            return self._flow_view(limit)
        holders = [
            self._slot(Holder(run_id=run_id, epoch=epoch, key=key), grant.occupy, grant.since)
            for run_id, places in limit.grants.items()
            for (epoch, key), grant in places.items()
        ]
        asking = [
            self._slot(one.asker.holder, one.asker.occupy, one.since)
            for one in self._limits.waiting(limit.name)
        ]
        return LimitView(
            name=limit.name,
            slots=limit.slots or 0,
            holders=sorted(holders, key=lambda one: one.since),
            waiting=asking,
            slot_decay_per_second=limit.decay,
            spent=round(limit.level(self._context.clock()), 3),
        )

    def _flow_view(self, limit: Limit) -> LimitView:
        """The runs themselves: those that run hold it, those that are queued wait for it."""
        board, flow_id = self._process.board, ids.flow_id(limit.name.removeprefix(slots.FLOW))
        running = board.running.get(flow_id, set())
        queued = [one.run_id for lane, some in board.pending.items() if lane[1] == flow_id for one in some]
        return LimitView(
            name=limit.name,
            slots=limit.slots or 0,
            holders=[self._run_slot(run_id) for run_id in sorted(running)],
            waiting=[self._run_slot(run_id) for run_id in queued],
        )

    def _run_slot(self, run_id: str) -> SlotView:
        life = self._process.board.runs[run_id].state
        assert life is not None
        holder = Holder(run_id=run_id, epoch=life.epoch, key="")
        since = life.start_time or life.queued_at or life.created_at
        return SlotView(holder=holder, flow_name=life.flow_name, occupy=1, since=since)

    def _slot(self, holder: Holder, occupy: int, since: object) -> SlotView:
        run = self._process.board.runs.get(holder.run_id)
        flow_name = run.state.flow_name if run is not None and run.state is not None else ""
        return SlotView(holder=holder, flow_name=flow_name, occupy=occupy, since=since)  # type: ignore[arg-type]


def _wrong_name(name: str, field: str) -> list[FieldError]:
    if name.strip() and len(name) <= TEXT_LENGTH and name.isprintable():
        return []
    return [FieldError(field, f"must have 1 to {TEXT_LENGTH} printable characters")]
