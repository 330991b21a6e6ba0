"""What is decided about one run: pure.

Every function takes the run's life as folded (None: there is no such run) and returns the events that follow, `()`
when what is asked for is so already. What may follow what is the table `perfect_schemas.folds.moves.MOVES`; nothing is
returned here that is not in it.

    trigger → scheduled        due → queued          claim (the worker's) → started
    lease ends → lost → queued again, or crashed after INFRA_RETRIES losses without progress
    pause → pausing, once the worker has stopped suspended
    cancel → cancelled at once when nobody runs it, else cancelling → (the worker's or, overdue, our) cancelled
"""

from datetime import UTC, datetime

import msgspec

from perfect_schemas.commands import HandOver, TriggerRun
from perfect_schemas.envelope import Event
from perfect_schemas.errors import Conflicting, NotFound
from perfect_schemas.events.run import (
    RunCancelled,
    RunCancelling,
    RunCrashed,
    RunLost,
    RunPausing,
    RunQueued,
    RunScheduled,
)
from perfect_schemas.folds.flow import Flow
from perfect_schemas.folds.run import RunLife, is_legal
from perfect_schemas.states import RunState
from perfect_schemas.waiting_words import waiting_sentence

SOURCE = "engine"
INFRA_RETRIES = 3
CANCELS = frozenset({RunState.CANCELLED, RunState.CANCELLING})
OWN_ORIGINS = frozenset({"api", "schedule", "fork"})  # runs that start by a hand-over


class Stamp(msgspec.Struct, frozen=True):
    """What a decision needs from outside: the time and the id of the event it may make."""

    now: datetime
    event_id: str


def schedule(life: RunLife | None, command: TriggerRun, flow: Flow, stamp: Stamp) -> tuple[Event, ...]:
    if life is not None:
        return ()
    return (
        RunScheduled(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=command.run_id,
            flow_version=flow.version,
            flow_id=flow.id,
            flow_name=flow.name,
            due_at=as_utc(command.scheduled_for),
            configuration=command.configuration,
            parameters=command.parameters,
            tags=command.tags,
            origin=command.origin,
            name=command.name,
            priority=command.priority,
            idempotency_key=command.idempotency_key,
            parent_run_id=command.parent_run_id,
            parent_task_key=command.parent_task_key,
            deployment=command.deployment,
            schedule_id=command.schedule_id,
            backfill=command.backfill,
        ),
    )


def needs_queueing(life: RunLife, now: datetime) -> bool:
    """It is due and not queued: freshly scheduled, its delay over, or given back (lost, resumed, retried).

    Child runs never are: the run that called them goes on with them in its own process.
    """
    if life.origin == "child":
        return False
    if life.state is RunState.SCHEDULED:
        if life.fork_of is not None and life.origin_run_id is None:
            return False  # what it takes over from its origin is not there yet
        if life.epoch == 0 and life.origin not in OWN_ORIGINS:
            return False  # its own process starts it
        return life.due_at is None or life.due_at <= now
    return life.state is RunState.PENDING and life.queued_seq != life.last_seq


def queue(life: RunLife | None, stamp: Stamp) -> tuple[Event, ...]:
    if life is None or not needs_queueing(life, stamp.now):
        return ()
    return _queued(life, stamp)


def queue_again(life: RunLife | None, queued_seq: int, stamp: Stamp) -> tuple[Event, ...]:
    """The hand-over named by `queued_seq` got lost: nobody who has room takes it."""
    if life is None or life.state is not RunState.PENDING or life.queued_seq != queued_seq:
        return ()
    return _queued(life, stamp)


def lose(life: RunLife | None, client_id: str, stamp: Stamp, *, is_served: bool) -> tuple[Event, ...]:
    """Its client's lease has ended. is_served: whether a client that is there could go on with it."""
    if life is None or life.client_id != client_id:
        return ()
    who = life.client_name or client_id
    if life.state is RunState.CANCELLING:
        return _cancelled(life, stamp, f"its client {who} was lost while it was being cancelled")
    if life.state is not RunState.RUNNING:
        return ()
    if life.origin == "local" and not is_served:
        return _crashed(
            life,
            stamp,
            f"its process {who} ended before the run did, and no worker serves flow {life.flow_name!r}",
        )
    return (
        RunLost(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=life.id,
            epoch=life.epoch,
            client_id=client_id,
            reason=f"client {who} is gone",
        ),
    )


def give_up(life: RunLife | None, losses: int, stamp: Stamp) -> tuple[Event, ...]:
    """After `losses` losses in a row in which no task was newly completed, another try is pointless."""
    if life is None or life.state is not RunState.PENDING or losses < INFRA_RETRIES:
        return ()
    return _crashed(
        life,
        stamp,
        f"lost {losses} times in a row without a newly completed task; the last time: {life.reason or 'unknown'}",
    )


def cancel(life: RunLife | None, by: str, stamp: Stamp) -> tuple[Event, ...]:
    """Raises NotFound, or Conflicting when the run has ended."""
    if life is None:
        raise NotFound("there is no such run")
    if life.state.is_final:
        raise Conflicting(f"run {life.id} has ended already ({life.state}): there is nothing to cancel")
    if life.state is RunState.CANCELLING:
        return ()
    if life.state is RunState.RUNNING:
        return (
            RunCancelling(
                id=stamp.event_id, at=stamp.now, source=SOURCE, run_id=life.id, epoch=life.epoch, by=by
            ),
        )
    return _cancelled(life, stamp, f"by {by}")


def pause(life: RunLife | None, by: str, stamp: Stamp) -> tuple[Event, ...]:
    """Raises NotFound, or Conflicting for a run that is not RUNNING: nothing of it is there to be stopped."""
    if life is None:
        raise NotFound("there is no such run")
    if life.state is not RunState.RUNNING:
        raise Conflicting(f"run {life.id} {_still(life)}: only a run that is RUNNING can be paused")
    if life.origin == "child":
        raise Conflicting(
            f"run {life.id} was called by run {life.parent_run_id} in its own process: pause that one, "
            "which takes this one with it"
        )
    if life.pausing_by is not None:
        return ()
    return (
        RunPausing(id=stamp.event_id, at=stamp.now, source=SOURCE, run_id=life.id, epoch=life.epoch, by=by),
    )


def _still(life: RunLife) -> str:
    if life.state.is_final:
        return f"has ended already ({life.state})"
    if life.state is RunState.PAUSED:
        return f"is PAUSED already ({waiting_sentence(life)})"
    return f"is {life.state}"


def end_cancelling(life: RunLife | None, stamp: Stamp) -> tuple[Event, ...]:
    """The grace is over and the client has not said that the run ended."""
    if life is None or life.state is not RunState.CANCELLING:
        return ()
    return _cancelled(life, stamp, "it did not end within the grace and was ended")


def end_child(life: RunLife | None, parent: RunLife, stamp: Stamp) -> tuple[Event, ...]:
    """The run that called it has ended, so nobody goes on with it.

    One that is queued by itself goes on, unless the run that wanted it is cancelled: then so is it.
    """
    if life is None or life.state.is_final:
        return ()
    if life.origin != "child":
        return cancel(life, f"run {parent.id}", stamp) if parent.state in CANCELS else ()
    if not parent.state.is_final:
        return ()
    reason = f"run {parent.id}, which called it, ended ({parent.state})"
    if parent.state is RunState.CANCELLED and is_legal(life, RunCancelled):
        return _cancelled(life, stamp, reason)
    if life.state is RunState.CANCELLING:
        return _cancelled(life, stamp, reason)
    if parent.state is RunState.CANCELLED:
        return cancel(life, f"run {parent.id}", stamp)  # asked again, it is over
    return _crashed(life, stamp, reason)


def abandon(life: RunLife | None, stamp: Stamp) -> tuple[Event, ...]:
    """A run of origin "local" whose process never started it."""
    if life is None or life.state is not RunState.SCHEDULED or life.origin != "local" or life.epoch:
        return ()
    return _crashed(life, stamp, "its process ended before the run began")


def crash(life: RunLife | None, reason: str, stamp: Stamp) -> tuple[Event, ...]:
    if life is None or not is_legal(life, RunCrashed):
        return ()
    return _crashed(life, stamp, reason)


def hand_over(life: RunLife) -> HandOver:
    """For a PENDING run that is queued."""
    return HandOver(
        run_id=life.id,
        flow_id=life.flow_id,
        flow_name=life.flow_name,
        queued_seq=life.queued_seq,
        epoch=life.epoch + 1,
        configuration=life.configuration,  # type: ignore[arg-type]
        parameters=life.parameters,
        tags=life.tags,
        name=life.name,
        replay=life.epoch > 0 or life.origin_run_id is not None,
        created_at=life.created_at,
        queued_at=life.queued_at,
        parent_run_id=life.parent_run_id,
        scheduled_for=life.scheduled_for,
        deployment=life.deployment,
    )


def as_utc(at: datetime | None) -> datetime | None:
    """at: with its zone; a trigger without one is refused."""
    return at.astimezone(UTC) if at is not None else None


def _queued(life: RunLife, stamp: Stamp) -> tuple[Event, ...]:
    return (
        RunQueued(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=life.id,
            queue=life.queue,
            priority=life.priority,
        ),
    )


def _cancelled(life: RunLife, stamp: Stamp, reason: str) -> tuple[Event, ...]:
    return (
        RunCancelled(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=life.id,
            epoch=life.epoch or None,
            reason=reason,
        ),
    )


def _crashed(life: RunLife, stamp: Stamp, reason: str) -> tuple[Event, ...]:
    return (
        RunCrashed(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=life.id,
            epoch=life.epoch or None,
            reason=reason,
        ),
    )
