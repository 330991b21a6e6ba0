"""Were the slots of each limit within it at all times? Folded from what the log says about limits: pure."""

from collections.abc import Iterable

import msgspec

from perfect_schemas import codec
from perfect_schemas.events import LimitCondensed, LimitRemoved, LimitSet, SlotGranted, SlotReleased

Place = tuple[str, int, str]
"""(run id, epoch, key) of a holder."""


class Use(msgspec.Struct):
    """slots: None while the name has no limit. taken: holder → how many it holds."""

    slots: int | None = None
    taken: dict[Place, int] = {}


class Findings(msgspec.Struct):
    """grants: how many were given. most: limit name → the most slots that were taken at a time."""

    grants: int = 0
    most: dict[str, int] = {}
    offences: list[str] = []


def check(events: Iterable[tuple[int, bytes]]) -> Findings:
    """events: (sequence, payload), in order. A limit that is lowered takes no slot away, but gives none either."""
    uses: dict[str, Use] = {}
    found = Findings()
    for seq, payload in events:
        event = codec.decode(payload)
        match event:
            case LimitSet():
                uses.setdefault(event.name, Use()).slots = event.slots
            case LimitRemoved():
                uses.setdefault(event.name, Use()).slots = None
            case SlotGranted():
                _grant(found, uses.setdefault(event.name, Use()), event, seq)
            case SlotReleased():
                uses.setdefault(event.name, Use()).taken.pop(_place(event), None)
            case LimitCondensed():
                taken = {(held.run_id, held.epoch, held.key): held.occupy for held in event.held}
                before = uses.get(event.name)
                if before is not None and before.taken != taken:
                    found.offences.append(
                        f"limit {event.name}: at {seq} it is said to have {sum(taken.values())} slots taken, by its events "
                        f"it has {sum(before.taken.values())}"
                    )
                uses[event.name] = Use(event.slots, taken)
            case _:
                pass
    return found


def _grant(found: Findings, use: Use, event: SlotGranted, seq: int) -> None:
    place = _place(event)
    if place in use.taken:
        return
    found.grants += 1
    use.taken[place] = event.occupy
    taken = sum(use.taken.values())
    found.most[event.name] = max(found.most.get(event.name, 0), taken)
    if use.slots is not None and taken > use.slots:
        found.offences.append(
            f"limit {event.name}: {taken} of {use.slots} slots were taken by the grant at {seq}, to run {event.run_id}"
        )


def _place(event: SlotGranted | SlotReleased) -> Place:
    return event.run_id or "", event.epoch or 0, event.task_key or ""
