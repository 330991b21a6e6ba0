"""Runs that have left the bus and are wanted there again, because somebody tries them again. Pure.

    (read model) → task.adopted for each task that a replay may find → run.restored → run.retried like any run's

The run is on the bus with `run.restored`, which comes last: an engine that dies before has changed nothing, and the
next one goes on with what is missing. A child run that its parent may go on with comes back before its parent.
"""

from collections.abc import Iterable

import msgspec

from perfect_engine.run import SOURCE, Stamp
from perfect_schemas import ids
from perfect_schemas.codec import encode
from perfect_schemas.events import RunRestored
from perfect_schemas.events.run import TakenWait
from perfect_schemas.events.task import TaskAdopted
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import KEPT_TASK_STATES


def adoptions(history: History, known: Iterable[str], stamp: Stamp) -> list[TaskAdopted]:
    """known: keys of the tasks that are there already. An event's id follows from the run, its end and the key."""
    run, there = history.run, set(known)
    assert run is not None
    return [
        TaskAdopted(
            id=ids.task_run_id(run.id, f"{task.key}\x1f{run.last_seq}"),
            at=stamp.now,
            source=SOURCE,
            run_id=run.id,
            task_run_id=task.id,
            task_key=task.key,
            task_id=task.task_id,
            name=task.name,
            ordinal=task.ordinal,
            input_digest=task.input_digest,
            epoch=task.epoch or None,
            attempt=task.attempt,
            origin_run_id=run.id,
            result=task.result,
            outcome="COMPLETED" if task.state in KEPT_TASK_STATES else task.state.value,  # type: ignore[arg-type]
            error=task.error,
            reason=task.reason,
            run_name=task.run_name,
            state_name=task.state_name,
            state_message=task.state_message,
            after=task.after,
        )
        for task in history.recorded()
        if task.key not in there
    ]


def restored(history: History, stamp: Stamp) -> RunRestored:
    life = history.run
    assert life is not None
    return RunRestored(
        id=stamp.event_id,
        at=stamp.now,
        source=SOURCE,
        run_id=life.id,
        epoch=life.epoch or None,
        flow_version=life.flow_version,
        state=life.state.value,  # type: ignore[arg-type]
        life=msgspec.Raw(encode(life)),
        waits=[
            TakenWait(
                key=wait.key,
                waits_for=wait.waits_for,
                input=wait.input,
                timed_out=wait.timed_out,
                after=wait.after,
            )
            for wait in history.waits.values()
            if wait.is_over
        ],
    )


def goes_on_with(history: History, child: RunLife) -> bool:
    """Whether a replay of the run may go on with that child run: it has not recorded that the child completed."""
    task = history.tasks.get(child.parent_task_key or "")
    return task is None or task.state not in KEPT_TASK_STATES or task.result is None
