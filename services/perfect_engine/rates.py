"""Limits as rates: `rate_limit` spends slots that come back with time, `decay` of them a second. Pure.

What is spent is a level that sinks: a spend raises it at once, also above what the limit has, and whoever did that goes
on when the level has sunk to the limit. So everybody's turn is known when they ask, in the order of asking, and nobody
has to ask again. Spent slots are apart from those that `concurrency` holds.
"""

from datetime import datetime

import msgspec

from perfect_engine.run import SOURCE, Stamp
from perfect_engine.slots import Limit
from perfect_schemas.commands import Holder
from perfect_schemas.errors import Conflicting, InvalidInput
from perfect_schemas.events.limit import SlotSpent


class Spending(msgspec.Struct, frozen=True):
    """wait_s: until whoever spends may go on."""

    wait_s: float
    events: tuple[SlotSpent, ...] = ()


def spend(limit: Limit | None, name: str, holder: Holder, occupy: int, stamp: Stamp) -> Spending:
    """A name without a limit takes nothing. Raises Conflicting for a limit from which nothing comes back, InvalidInput for
    more than it has at all.
    """
    if limit is None or limit.slots is None:
        return Spending(0.0)
    if limit.decay <= 0:
        raise Conflicting(
            f"limit {name!r} is no rate: spent slots would never come back. Give it one: "
            f"`perfect limits set {name} {limit.slots} --decay SLOTS_A_SECOND`"
        )
    if occupy > limit.slots:
        raise InvalidInput(f"limit {name!r} has {limit.slots} slots: {occupy} at once are never free")
    wait_s = max((limit.level(stamp.now) + occupy - limit.slots) / limit.decay, 0.0)
    return Spending(wait_s, (_spent(name, holder, occupy, stamp.now, stamp.event_id),))


def _spent(name: str, holder: Holder, occupy: int, now: datetime, event_id: str) -> SlotSpent:
    return SlotSpent(
        id=event_id,
        at=now,
        source=SOURCE,
        run_id=holder.run_id,
        epoch=holder.epoch,
        task_key=holder.key,
        name=name,
        occupy=occupy,
    )
