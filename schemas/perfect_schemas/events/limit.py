"""Named limits and who is in. Subject: `perfect.evt.limit.<limit id>` on DEFS, the id made of the name.

Slots in use are what granted and released events say, never a counter. A grant ends with its release or with its
holder's end or loss, so nothing is renewed and nothing leaks. Two events a use would make the subject long: now and
then one says where the limit stands, and what is before it leaves the bus.
"""

import msgspec

from perfect_schemas.envelope import Event, Instant


class LimitSet(Event, frozen=True, kw_only=True, omit_defaults=True, tag="limit.set"):
    """slot_decay_per_second: how many spent slots come back in a second; 0: it is no rate."""

    name: str
    slots: int
    by: str = ""
    slot_decay_per_second: float = 0.0


class LimitRemoved(Event, frozen=True, kw_only=True, omit_defaults=True, tag="limit.removed"):
    name: str
    by: str = ""


class SlotGranted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="slot.granted"):
    """Holder: run_id, epoch and task_key of the envelope (task_key: also a place in the flow's own body)."""

    name: str
    occupy: int = 1


class SlotReleased(Event, frozen=True, kw_only=True, omit_defaults=True, tag="slot.released"):
    """reason: released, run ended, run lost, superseded."""

    name: str
    reason: str = "released"


class SlotSpent(Event, frozen=True, kw_only=True, omit_defaults=True, tag="slot.spent"):
    """By `rate_limit`: nobody gives them back, they come back with time. Holder as in `slot.granted`."""

    name: str
    occupy: int = 1


class SlotHeld(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A grant that has not ended. since: when it was given."""

    run_id: str
    epoch: int
    key: str
    occupy: int
    since: Instant


class LimitCondensed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="limit.condensed"):
    """All that the events before it on the subject come to: they are not needed any more. slots: None: no limit.
    spent: how many slots were spent, and had not come back yet, at its time.
    """

    name: str
    slots: int | None = None
    held: list[SlotHeld] = []
    slot_decay_per_second: float = 0.0
    spent: float = 0.0
