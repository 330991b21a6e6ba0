"""Claim first, read after: how a worker becomes the owner of a run.

It appends `run.started` with the next epoch, guarded on the hand-over's `run.queued` being the run's last event.
Only one claim can hold; whoever is refused drops the hand-over. Only then is the message acknowledged, and only
then is the history read, up to the claim: what stands before it is everything that counts from older epochs.
"""

from typing import TYPE_CHECKING

import msgspec

from perfect_bus.append import Conflict, Guard, append
from perfect_schemas import ids, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.commands import HandOver
from perfect_schemas.envelope import utc_now
from perfect_schemas.events import RunStarted
from perfect_schemas.folds.history import History

if TYPE_CHECKING:
    from perfect_bus.bus import Bus


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Ownership of a run from the event at `seq` on, which every guarded append of this epoch expects."""

    run_id: str
    epoch: int
    seq: int
    client_id: str


async def claim(
    bus: "Bus",
    hand_over: HandOver,
    *,
    client_id: str,
    client_name: str,
    flow_version: str | None,
    event_id: str | None = None,
) -> Claim | None:
    """The claim, or None when the run has moved on and the hand-over is to be dropped.

    Raises BusUnavailable when it stays unknown whether the claim was stored.
    """
    return await start_epoch(
        bus,
        run_id=hand_over.run_id,
        epoch=hand_over.epoch,
        after_seq=hand_over.queued_seq,
        client_id=client_id,
        client_name=client_name,
        flow_version=flow_version,
        event_id=event_id,
    )


async def start_epoch(
    bus: "Bus",
    *,
    run_id: str,
    epoch: int,
    after_seq: int,
    client_id: str,
    client_name: str,
    flow_version: str | None,
    event_id: str | None = None,
) -> Claim | None:
    """Append `run.started` if the run's last event is the one at `after_seq`; None when it is not."""
    subject = subjects.run(run_id)
    event = RunStarted(
        id=event_id or ids.uuid7(),
        at=utc_now(),
        source=f"worker:{client_id}",
        run_id=run_id,
        epoch=epoch,
        client_id=client_id,
        client_name=client_name,
        flow_version=flow_version,
    )
    try:
        seq = await append(bus, subject, event, Guard(subject, after_seq))
    except Conflict:
        return None
    return Claim(run_id=run_id, epoch=epoch, seq=seq, client_id=client_id)


async def read_history(bus: "Bus", run_id: str, until: int | None = None) -> History:
    """The fold of a run's events, its own and its tasks', in stream order, up to the sequence `until`."""
    stored = [
        *await bus.read(subjects.run(run_id), until=until),
        *await bus.read(subjects.task(run_id), until=until),
    ]
    history = History()
    for seq, event in sorted(stored, key=lambda pair: pair[0]):
        if not isinstance(event, UnknownEvent):
            history.apply(event, seq)
    return history
