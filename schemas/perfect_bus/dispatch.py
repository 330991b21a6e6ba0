"""Taking a distributed task: the first `task.started` of a dispatch holds it.

All claims of one dispatch have the same event id, so the stream keeps the first and answers the others with its
sequence: no claim needs to read what hundreds of other tasks of the run say on the same subject. Only a hand-over that
comes late or again is compared with the run's history first.
"""

from datetime import timedelta
from typing import TYPE_CHECKING

from perfect_bus.claim import read_history
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import TaskHandOver
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import Failed
from perfect_schemas.events import (
    RunArchived,
    RunCancelled,
    RunCancelling,
    RunCompleted,
    RunCrashed,
    RunFailed,
    RunRestored,
    RunStarted,
    RunSuspended,
    TaskStarted,
)
from perfect_schemas.folds.history import History
from perfect_schemas.states import FINAL_TASK_STATES, RunState
from perfect_schemas.streams import DUPLICATE_WINDOW_S

if TYPE_CHECKING:
    from perfect_bus.bus import Bus

OVER = frozenset({RunArchived, RunCancelling, RunCancelled, RunCompleted, RunCrashed, RunFailed, RunRestored})
"""The last events of runs whose tasks are not begun any more."""
STILL_S = 15.0
LATE = timedelta(seconds=DUPLICATE_WINDOW_S - STILL_S)
"""Who may have stood still for STILL_S before its claim arrives still finds an earlier one's id remembered."""


async def claim_task(
    bus: "Bus", hand_over: TaskHandOver, *, client_id: str, is_again: bool = False
) -> int | None:
    """The sequence on EVENTS up to which the run is known to go on, or None when there is nothing to do: another
    worker has the dispatch, or the task or its run is over.

    is_again: the hand-over has been delivered before. Raises BusUnavailable while the outcome is unknown: ask again.
    """
    last = await bus.last(subjects.run(hand_over.run_id))
    if last is None or type(last[1]) in OVER:
        return None
    is_usual = isinstance(last[1], RunStarted | RunSuspended) and last[1].epoch == hand_over.epoch
    if is_again or not is_usual or utc_now() - hand_over.queued_at > LATE:
        history = await read_history(bus, hand_over.run_id)
        if not is_open(history, hand_over, client_id):
            return None
    subject = subjects.task(hand_over.run_id)
    claim = started(
        hand_over,
        client_id,
        event_id=ids.uuid7_for(hand_over.queued_at, hand_over.dispatch_id, "started"),
    )
    ack = await bus.outbox.send(subject, codec.encode(claim), claim.id)
    if ack.error is not None:
        raise Failed(f"{subject} refused {claim.type}: {ack.error.description}")
    if ack.duplicate:
        stored = await bus.read(subject, after=ack.seq - 1, until=ack.seq)
        if not stored or getattr(stored[0][1], "client_id", None) != client_id:
            return None
        if not is_open(await read_history(bus, hand_over.run_id), hand_over, client_id):
            return None  # delivered again by a server that had forgotten the first time, and done meanwhile
    return last[0]


def started(hand_over: TaskHandOver, client_id: str, *, event_id: str | None = None) -> TaskStarted:
    return TaskStarted(
        id=event_id or ids.uuid7(),
        at=utc_now(),
        source=f"worker:{client_id}",
        run_id=hand_over.run_id,
        task_run_id=hand_over.task_run_id,
        task_key=hand_over.task_key,
        epoch=hand_over.epoch,
        attempt=hand_over.attempt,
        flow_version=hand_over.flow_version,
        task_id=hand_over.task_id,
        name=hand_over.name,
        ordinal=hand_over.ordinal,
        input_digest=hand_over.input_digest,
        dispatch_id=hand_over.dispatch_id,
        client_id=client_id,
    )


def is_open(history: History, hand_over: TaskHandOver, client_id: str) -> bool:
    """Whether the dispatch is still to be carried out by this client, or nobody's yet."""
    run, life = history.run, history.tasks.get(hand_over.task_key)
    if run is None or run.state.is_final or run.state is RunState.CANCELLING:
        return False
    return (
        life is not None
        and life.dispatch_id == hand_over.dispatch_id
        and life.state not in FINAL_TASK_STATES
        and life.client_id in (None, client_id)
    )
