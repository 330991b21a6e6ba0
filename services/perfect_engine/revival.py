"""What sets a run going that stands still: pure.

    PAUSED → resumed   by input, when a `wake_at` has come, when a child run that it waits for has ended, or a
                       distributed task has, or the worker that has it is gone: the first of its waits that is over, which the event names
    FAILED, CRASHED, CANCELLED → retried

Both lead to PENDING and so to the next hand-over; the claim begins the next epoch, which replays what is recorded.
"""

from datetime import datetime
from typing import Any

from perfect_engine.run import SOURCE, Stamp
from perfect_schemas.envelope import Event
from perfect_schemas.errors import Conflicting, FieldError, InvalidInput, NotFound
from perfect_schemas.events.run import OpenWait, RunResumed, RunRetried
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import RunLife, is_paused_from_outside, open_waits
from perfect_schemas.states import RETRIABLE_RUN_STATES, RunState

KEYS_SHOWN = 20


def due_of(life: RunLife) -> datetime | None:
    """When something is to happen to the run by the clock alone."""
    if life.state is RunState.SCHEDULED and life.origin != "child":
        return life.due_at
    return min((wait.wake_at for wait in open_waits(life) if wait.wake_at is not None), default=None)


def resume(life: RunLife | None, given: Any, stamp: Stamp, key: str | None = None) -> tuple[Event, ...]:
    """By input, which fits the schema of the pause that is meant. Raises what `input_wait` does."""
    wait = input_wait(life, key)
    assert life is not None
    return _resumed(life, wait.key, stamp, given)


def input_wait(life: RunLife | None, key: str | None) -> OpenWait:
    """The pause that input is given to. Raises NotFound, or Conflicting unless the run waits for it there."""
    if life is None:
        raise NotFound("there is no such run")
    if is_paused_from_outside(life) and life.origin == "child":
        raise Conflicting(
            f"run {life.id} was paused with run {life.parent_run_id}, which called it in its own process: resume that one"
        )
    waits = open_waits(life)
    asking = [wait for wait in waits if wait.waits_for == "input" and key in (None, wait.key)]
    if len(asking) == 1:
        return asking[0]
    if asking:
        keys = ", ".join(repr(wait.key) for wait in asking)
        raise Conflicting(
            f"run {life.id} waits for several inputs: say which one is meant by its key, one of {keys}"
        )
    if key is not None and waits:
        there = ", ".join(repr(wait.key) for wait in waits if wait.waits_for == "input")
        raise Conflicting(f"run {life.id} does not wait for input at {key!r}; it does at: {there or 'none'}")
    if life.state is RunState.PAUSED:
        what = f"waits for something else ({life.waits_for})"
    elif life.state is RunState.RUNNING and life.pausing_by is not None:
        what = "has not stopped yet: it is being paused"
    elif life.state.is_final:
        what = f"has ended ({life.state})"
    else:
        what = f"is {life.state}"
    raise Conflicting(f"run {life.id} {what}: only a run that is paused for input can be resumed")


def wake(life: RunLife | None, stamp: Stamp) -> tuple[Event, ...]:
    """Its time has come: the end of a sleep, or of the patience with which it waits for something else."""
    if life is None:
        return ()
    due = [
        (wait.wake_at, wait.key) for wait in open_waits(life) if wait.wake_at and wait.wake_at <= stamp.now
    ]
    return _resumed(life, min(due)[1], stamp) if due else ()


def child_over(life: RunLife | None, child_id: str, stamp: Stamp) -> tuple[Event, ...]:
    """The child run that it waits for has ended, however it did."""
    if life is None or not waits_for_child(life, child_id):
        return ()
    return _resumed(life, child_id, stamp)


def task_over(life: RunLife | None, suspended_seq: int, stamp: Stamp, lost: str | None) -> tuple[Event, ...]:
    """One of the distributed tasks that it waits for has ended, or the client `lost` is gone with it.

    suspended_seq: of the suspension that this was found for.
    """
    if life is None or life.last_seq != suspended_seq:
        return ()
    key = next((wait.key for wait in open_waits(life) if wait.waits_for == "task"), None)
    return () if key is None else _resumed(life, key, stamp, lost=lost)


def waits_for_child(life: RunLife, child_id: str) -> bool:
    return child_id in awaited_children(life)


def awaited_children(life: RunLife) -> list[str]:
    """The child runs whose end, each of them, resumes the run."""
    return [wait.key for wait in open_waits(life) if wait.waits_for == "child"]


def retry(life: RunLife | None, by: str, from_key: str | None, stamp: Stamp) -> tuple[Event, ...]:
    """Raises NotFound, or Conflicting for a run that cannot be tried again."""
    if life is None:
        raise NotFound("there is no such run")
    if life.state not in RETRIABLE_RUN_STATES:
        raise Conflicting(
            f"run {life.id} is {life.state}: only a run that is FAILED, CRASHED or CANCELLED can be retried"
            + ("; fork it to run it again" if life.state is RunState.COMPLETED else "")
        )
    if life.origin == "child":
        raise Conflicting(
            f"run {life.id} was called by run {life.parent_run_id} in its own process: retry that one, "
            "which takes this one with it"
        )
    return (
        RunRetried(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=life.id,
            epoch=life.epoch or None,
            by=by,
            from_key=from_key,
        ),
    )


def check_key(history: History, from_key: str | None) -> None:
    """Raises InvalidInput for a task that the run has not called."""
    if from_key is None or from_key in history.tasks:
        return
    known = list(history.tasks)
    there = ", ".join(known[:KEYS_SHOWN]) + (", …" if len(known) > KEYS_SHOWN else "")
    message = f"the run has no task {from_key!r}; it has: {there or 'none'}"
    raise InvalidInput(f"from_key: {message}", [FieldError("from_key", message)])


def _resumed(
    life: RunLife, key: str, stamp: Stamp, given: Any = None, lost: str | None = None
) -> tuple[Event, ...]:
    return (
        RunResumed(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=life.id,
            epoch=life.epoch or None,
            input=given,
            key=key or None,
            lost=lost,
        ),
    )
