"""Named limits and who is in: pure.

    limit.set, limit.removed      how many slots a name has; a name without a limit lets everybody in
    slot.granted, slot.released   who is in: nothing else counts them
    slot.spent                    what rates have given away, see `rates`
    limit.condensed               all of it, as they stand: what is before it on the subject is not needed any more

Who waits is nobody's event: askers ask again. `next_grants` says who of them comes in now: all the names that one
asks for together or none; among equal priority whoever asked first, and nobody passes one who waits for the same name,
so nobody starves and two that want the same names in another order cannot block each other.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from perfect_engine.run import SOURCE, Stamp
from perfect_schemas.commands import Holder
from perfect_schemas.envelope import Event
from perfect_schemas.errors import InvalidInput
from perfect_schemas.events.limit import (
    LimitCondensed,
    LimitRemoved,
    LimitSet,
    SlotGranted,
    SlotHeld,
    SlotReleased,
    SlotSpent,
)
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState

FLOW = "flow:"
HOLDING = frozenset(
    {RunState.RUNNING, RunState.CANCELLING}
)  # what a run has: a place on its worker, a slot of its flow
_LEFT = {RunState.PAUSED: "run suspended", RunState.SCHEDULED: "run to be tried again"}

Place = tuple[int, str]
"""(epoch, key): where in a run."""


class Grant(msgspec.Struct, frozen=True):
    occupy: int
    since: datetime


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """slots: None when the name has no limit (any more). grants: run id → place → what it holds. decay: how many spent
    slots come back in a second. spent: how many were at `spent_at`.
    """

    name: str
    slots: int | None = None
    grants: Mapping[str, Mapping[Place, Grant]] = {}
    decay: float = 0.0
    spent: float = 0.0
    spent_at: datetime | None = None

    def level(self, now: datetime) -> float:
        """How many slots are spent and have not come back yet."""
        if self.spent_at is None:
            return 0.0
        return max(self.spent - self.decay * max((now - self.spent_at).total_seconds(), 0.0), 0.0)

    @property
    def taken(self) -> int:
        return sum(grant.occupy for places in self.grants.values() for grant in places.values())

    @property
    def free(self) -> int | None:
        """None: as many as you like. Negative when the limit was lowered below what is taken."""
        return None if self.slots is None else self.slots - self.taken

    def holds(self, holder: Holder) -> bool:
        return place_of(holder) in self.grants.get(holder.run_id, ())


class Asker(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Orders by turn. number: ascends with the time of asking."""

    rank: int
    number: int
    holder: Holder
    names: tuple[str, ...]
    occupy: int


def place_of(holder: Holder) -> Place:
    return holder.epoch, holder.key


def evolve(limit: Limit | None, event: Event, seq: int) -> Limit | None:  # noqa: ARG001
    match event:
        case LimitSet():
            before = limit or Limit(name=event.name)
            return msgspec.structs.replace(
                before,
                slots=event.slots,
                decay=event.slot_decay_per_second,
                spent=before.level(event.at),
                spent_at=event.at if before.spent_at is not None else None,
            )
        case LimitRemoved() if limit is not None:
            return msgspec.structs.replace(limit, slots=None)
        case SlotGranted():
            return _with(limit, event, Grant(event.occupy, event.at))
        case SlotReleased() if limit is not None:
            return _with(limit, event, None)
        case SlotSpent():
            before = limit or Limit(name=event.name)
            return msgspec.structs.replace(
                before, spent=before.level(event.at) + event.occupy, spent_at=event.at
            )
        case LimitCondensed():
            left: dict[str, dict[Place, Grant]] = {}
            for held in event.held:
                left.setdefault(held.run_id, {})[held.epoch, held.key] = Grant(held.occupy, held.since)
            return Limit(
                name=event.name,
                slots=event.slots,
                grants=left,
                decay=event.slot_decay_per_second,
                spent=event.spent,
                spent_at=event.at if event.spent else None,
            )
    return limit


def _with(limit: Limit | None, event: SlotGranted | SlotReleased, grant: Grant | None) -> Limit:
    limit = limit or Limit(name=event.name)
    run_id, place = event.run_id or "", (event.epoch or 0, event.task_key or "")
    places = dict(limit.grants.get(run_id, {}))
    grants = dict(limit.grants)
    if grant is None:
        places.pop(place, None)
    else:
        places.setdefault(place, grant)
    if places:
        grants[run_id] = places
    else:
        grants.pop(run_id, None)
    return msgspec.structs.replace(limit, grants=grants)


# -- decisions about one name


def set_limit(
    limit: Limit | None, name: str, slots: int, by: str, stamp: Stamp, decay: float = 0.0
) -> tuple[Event, ...]:
    if limit is not None and limit.slots == slots and limit.decay == decay:
        return ()
    return (
        LimitSet(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            name=name,
            slots=slots,
            by=by,
            slot_decay_per_second=decay,
        ),
    )


def remove_limit(limit: Limit | None, name: str, by: str, stamp: Stamp) -> tuple[Event, ...]:
    if limit is None or limit.slots is None:
        return ()
    return (LimitRemoved(id=stamp.event_id, at=stamp.now, source=SOURCE, name=name, by=by),)


def grant(limit: Limit | None, name: str, holder: Holder, occupy: int, stamp: Stamp) -> tuple[Event, ...]:
    """Nothing when the holder is in already, when there is no room, or when the name has no limit."""
    if limit is None or limit.holds(holder) or limit.free is None or limit.free < occupy:
        return ()
    return (
        SlotGranted(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=holder.run_id,
            epoch=holder.epoch,
            task_key=holder.key,
            name=name,
            occupy=occupy,
        ),
    )


def release(limit: Limit | None, holder: Holder, reason: str, stamp: Stamp) -> tuple[Event, ...]:
    if limit is None or not limit.holds(holder):
        return ()
    return (
        SlotReleased(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=holder.run_id,
            epoch=holder.epoch,
            task_key=holder.key,
            name=limit.name,
            reason=reason,
        ),
    )


def condense(limit: Limit | None, stamp: Stamp) -> tuple[Event, ...]:
    """Where the limit stands, so that what led there can go."""
    if limit is None:
        return ()
    held = [
        SlotHeld(run_id=run_id, epoch=epoch, key=key, occupy=grant.occupy, since=grant.since)
        for run_id, places in limit.grants.items()
        for (epoch, key), grant in places.items()
    ]
    return (
        LimitCondensed(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            name=limit.name,
            slots=limit.slots,
            held=held,
            slot_decay_per_second=limit.decay,
            spent=limit.level(stamp.now),
        ),
    )


# -- decisions about all of them


def next_grants(askers: Iterable[Asker], limits: Mapping[str, Limit]) -> list[Asker]:
    """Those who come in now, in order. askers: in order of turn.

    Who asks for more than a name has at all waits for the limit to be raised, and holds up nobody.
    """
    free = {name: limit.free for name, limit in limits.items()}
    wanted: set[str] = set()  # by somebody who has waited longer
    admitted: list[Asker] = []
    for asker in askers:
        asks = [
            name
            for name in asker.names
            if free.get(name) is not None and not limits[name].holds(asker.holder)
        ]
        if any(is_too_much(limits[name], asker.occupy) for name in asks):
            continue
        if all(free[name] >= asker.occupy and name not in wanted for name in asks):  # type: ignore[operator]
            admitted.append(asker)
            for name in asks:
                free[name] -= asker.occupy  # type: ignore[operator]
        else:
            wanted.update(asks)
    return admitted


def is_too_much(limit: Limit, occupy: int) -> bool:
    return limit.slots is not None and occupy > limit.slots


def over(limits: Iterable[Limit], life: RunLife) -> list[tuple[str, Holder, str]]:
    """(name, holder, reason) of each grant of the run that has ended with what happened to it."""
    found = []
    for limit in limits:
        for epoch, key in limit.grants.get(life.id, ()):
            reason = why_over(life, epoch)
            if reason is not None:
                found.append((limit.name, Holder(run_id=life.id, epoch=epoch, key=key), reason))
    return found


def why_over(life: RunLife, epoch: int) -> str | None:
    """Why what was granted in that epoch is held no more; None when it is."""
    if life.state.is_final:
        return "run ended"
    if life.epoch != epoch:
        return "superseded"
    if life.state in HOLDING:
        return None
    return _LEFT.get(life.state, "run lost")


def check_name(name: str) -> None:
    """Raises InvalidInput for the name of a flow's limit, which nobody asks for: its runs are counted themselves."""
    if name.startswith(FLOW):
        raise InvalidInput(
            f"the limit {name!r} is that of a flow: the engine applies it to the flow's runs by itself, "
            "so a slot of it cannot be acquired; use another name"
        )
