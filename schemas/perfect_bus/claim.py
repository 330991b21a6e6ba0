"""Claim first, read after: how a worker becomes the owner of a run.

It appends `run.started` with the next epoch, guarded on the hand-over's `run.queued` being the run's last event.
Only one claim can hold; whoever is refused drops the hand-over. Only then is the message acknowledged, and only
then is the history read, up to the claim: what stands before it is everything that counts from older epochs.

A hand-over may have been sent together with its `run.queued`, whose sequence was not known yet. The claim is then guarded
on the id of that event being the *stream's* last message, which says more. Where something else was written meanwhile, it
is looked up where the event stands.
"""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from perfect_bus.append import LAST_ID, Conflict, Guard, append
from perfect_bus.outbox import WRONG_LAST_ID
from perfect_schemas import codec, ids, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.commands import HandOver
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import Failed
from perfect_schemas.events import RunQueued, RunScheduled, RunStarted
from perfect_schemas.folds.history import History

if TYPE_CHECKING:
    from perfect_bus.bus import Bus

LOOK_AGAIN_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""When to look again for a `run.queued` that was sent before its hand-over, and is not stored yet."""


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
    event = _started(
        hand_over.run_id, hand_over.epoch, client_id, client_name, flow_version, event_id or ids.uuid7()
    )
    if hand_over.queued_id is not None:
        return await _claim_behind(bus, event, hand_over.queued_id)
    return await _claim_after(bus, event, hand_over.queued_seq)


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
    event = _started(run_id, epoch, client_id, client_name, flow_version, event_id or ids.uuid7())
    return await _claim_after(bus, event, after_seq)


def _started(
    run_id: str, epoch: int, client_id: str, client_name: str, flow_version: str | None, event_id: str
) -> RunStarted:
    return RunStarted(
        id=event_id,
        at=utc_now(),
        source=f"worker:{client_id}",
        run_id=run_id,
        epoch=epoch,
        client_id=client_id,
        client_name=client_name,
        flow_version=flow_version,
    )


async def _claim_after(bus: "Bus", event: RunStarted, after_seq: int) -> Claim | None:
    subject = subjects.run(event.run_id or "")
    try:
        seq = await append(bus, subject, event, Guard(subject, after_seq))
    except Conflict:
        return None
    return _claimed(event, seq)


async def _claim_behind(bus: "Bus", event: RunStarted, queued_id: str) -> Claim | None:
    """Of a run's first execution."""
    subject = subjects.run(event.run_id or "")
    ack = await bus.outbox.send(subject, codec.encode(event), event.id, headers={LAST_ID: queued_id})
    if ack.error is None:
        return _claimed(event, ack.seq)
    if ack.error.err_code != WRONG_LAST_ID:
        raise Failed(f"{subject} refused {event.type}: {ack.error.description}")
    for pause_s in LOOK_AGAIN_S:
        stored = await bus.read(subject)
        own = next((seq for seq, one in stored if one.id == event.id), None)
        if own is not None:  # it was sent a second time
            return _claimed(event, own)
        if stored and not isinstance(stored[-1][1], RunScheduled):
            seq, last = stored[-1]
            is_it = isinstance(last, RunQueued) and last.id == queued_id
            return await _claim_after(bus, event, seq) if is_it else None
        await asyncio.sleep(pause_s)
    return None


def _claimed(event: RunStarted, seq: int) -> Claim:
    return Claim(run_id=event.run_id or "", epoch=event.epoch or 0, seq=seq, client_id=event.client_id)


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
