"""Named limits and who holds their slots."""

from datetime import datetime

import msgspec


class SetLimit(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.set_limit`. Answer: Done. At most `slots` holders of the name at once; 0 lets nobody in.

    slot_decay_per_second: how many slots that `rate_limit` has spent come back in a second; 0: it is no rate.
    """

    name: str
    slots: int
    by: str
    slot_decay_per_second: float = 0.0


class RemoveLimit(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.remove_limit`. Answer: Done. Whoever waits for the name goes on at once."""

    name: str
    by: str


class ShowLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.limits`. Answer: list[LimitView]."""


class Holder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who holds or wants slots: a place in one epoch of a run. key: task key or place in the flow's body."""

    run_id: str
    epoch: int
    key: str


class AcquireSlots(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.acquire`. Answer: Acquired. All of `names` together, `occupy` slots of each, or none.

    Asked again for the same holder, it answers the same. A name without a limit is granted at once. wait_s: how long
    the engine may keep the question before it answers `granted=False`; the place in the queue is kept for as long as
    the holder asks again within the lease. strict: NotFound for a name without a limit.
    """

    names: list[str]
    holder: Holder
    occupy: int = 1
    wait_s: float = 5.0
    strict: bool = False


class SpendSlots(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.spend`. Answer: Spent. `occupy` slots of each of `names`, which must be rates, or of none.

    within_s: spend nothing when they are there later than that; None: whenever. strict: NotFound for a name without a
    limit, which takes nothing otherwise. A repeat spends again.
    """

    names: list[str]
    holder: Holder
    occupy: int = 1
    within_s: float | None = None
    strict: bool = False


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """wait_s: after so long the holder may go on; when nothing was spent, how long it would have been."""

    granted: bool
    wait_s: float


class Acquired(msgspec.Struct, frozen=True, kw_only=True):
    """waiting_for: one sentence when it was not granted: the name, who holds it, since when."""

    granted: bool
    waiting_for: str | None = None


class ReleaseSlots(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.release`. Answer: Done, also when nothing is held."""

    names: list[str]
    holder: Holder


class SlotView(msgspec.Struct, frozen=True, kw_only=True):
    holder: Holder
    flow_name: str
    occupy: int
    since: datetime


class LimitView(msgspec.Struct, frozen=True, kw_only=True):
    """holders: who is in. waiting: who wants in, next first. spent: of a rate, the slots that have not come back yet."""

    name: str
    slots: int
    holders: list[SlotView]
    waiting: list[SlotView]
    slot_decay_per_second: float = 0.0
    spent: float = 0.0
