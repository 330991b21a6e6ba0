"""What sets a run going that stands still: pure.

    PAUSED → resumed   by input, when its `wake_at` has come, or when the child run that it waits for has ended
    FAILED, CRASHED, CANCELLED → retried

Both lead to PENDING and so to the next hand-over; the claim begins the next epoch, which replays what is recorded.
"""

from datetime import datetime
from typing import Any

from perfect_engine.run import SOURCE, Stamp
from perfect_schemas.envelope import Event
from perfect_schemas.errors import Conflicting, FieldError, InvalidInput, NotFound
from perfect_schemas.events.run import RunResumed, RunRetried
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState

RETRIED = frozenset({RunState.FAILED, RunState.CRASHED, RunState.CANCELLED})
KEYS_SHOWN = 20


def due_of(life: RunLife) -> datetime | None:
    """When something is to happen to the run by the clock alone."""
    if life.state is RunState.SCHEDULED and life.origin != "child":
        return life.due_at
    return life.wake_at if life.state is RunState.PAUSED else None


def resume(life: RunLife | None, given: Any, stamp: Stamp) -> tuple[Event, ...]:
    """By input, which fits the schema. Raises NotFound, or Conflicting unless the run waits for input."""
    check_waits_for_input(life)
    assert life is not None
    return _resumed(life, stamp, given)


def check_waits_for_input(life: RunLife | None) -> None:
    if life is None:
        raise NotFound("there is no such run")
    if life.state is RunState.PAUSED and life.waits_for == "input":
        return
    if life.state is RunState.PAUSED:
        what = f"waits for something else ({life.waits_for})"
    elif life.state.is_final:
        what = f"has ended ({life.state})"
    else:
        what = f"is {life.state}"
    raise Conflicting(f"run {life.id} {what}: only a run that is paused for input can be resumed")


def wake(life: RunLife | None, stamp: Stamp) -> tuple[Event, ...]:
    """Its time has come: the end of a sleep, or of the patience with which it waits for something else."""
    if life is None or life.state is not RunState.PAUSED:
        return ()
    if life.wake_at is None or life.wake_at > stamp.now:
        return ()
    return _resumed(life, stamp)


def child_over(life: RunLife | None, child_id: str, stamp: Stamp) -> tuple[Event, ...]:
    """The child run that it waits for has ended, however it did."""
    if life is None or not waits_for_child(life, child_id):
        return ()
    return _resumed(life, stamp)


def waits_for_child(life: RunLife, child_id: str) -> bool:
    return life.state is RunState.PAUSED and life.waits_for == "child" and life.wait_key == child_id


def retry(life: RunLife | None, by: str, from_key: str | None, stamp: Stamp) -> tuple[Event, ...]:
    """Raises NotFound, or Conflicting for a run that cannot be tried again."""
    if life is None:
        raise NotFound("there is no such run")
    if life.state not in RETRIED:
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


def _resumed(life: RunLife, stamp: Stamp, given: Any = None) -> tuple[Event, ...]:
    return (
        RunResumed(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=life.id,
            epoch=life.epoch or None,
            input=given,
        ),
    )
