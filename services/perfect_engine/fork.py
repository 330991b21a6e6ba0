"""Forks: a new run that begins with results of another one. Pure.

    run.scheduled{fork_of, from_key} → task.adopted for each result taken over → run.forked → queued like any run

A fork is not queued before `run.forked`, so an engine that dies in the middle leaves one that the next engine
completes: what is to be adopted follows from the origin's events, its ids from the fork's, and once `run.forked` is
there nothing more is adopted.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from perfect_engine.run import SOURCE, Stamp
from perfect_schemas import ids
from perfect_schemas.commands import ForkRun
from perfect_schemas.envelope import Event
from perfect_schemas.events.run import RunForked, RunScheduled, TakenWait
from perfect_schemas.events.task import TaskAdopted
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import RunLife
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import KEPT_TASK_STATES, RunState

TAKEN_WAITS = frozenset({"input", "sleep"})


def parameters_of(origin: RunLife, command: ForkRun) -> dict[str, Any]:
    return {**origin.parameters, **(command.parameters or {})}


def schedule(
    life: RunLife | None, origin: RunLife, command: ForkRun, version: str | None, stamp: Stamp
) -> tuple[Event, ...]:
    """version: of the flow as it is registered now. Says nothing when the run exists already."""
    if life is not None:
        return ()
    return (
        RunScheduled(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=command.run_id,
            flow_version=version,
            flow_id=origin.flow_id,
            flow_name=origin.flow_name,
            configuration=origin.configuration,  # type: ignore[arg-type]
            parameters=parameters_of(origin, command),
            tags=origin.tags,
            origin="fork",
            name=origin.name,
            queue=origin.queue,
            priority=origin.priority,
            fork_of=origin.id,
            from_key=command.from_key,
        ),
    )


def is_open(life: RunLife) -> bool:
    """It has still to take over what it begins with."""
    return life.state is RunState.SCHEDULED and life.fork_of is not None and life.origin_run_id is None


def taken(history: History, from_key: str | None, *, is_changed: bool) -> list[TaskLife]:
    """The origin's tasks whose results are taken over, in the order in which they began.

    is_changed: the fork has other parameters. Then what cannot be checked against its inputs is not taken.
    """
    dropped = set(history.invalidated(from_key)) if from_key is not None else ()
    return [
        task
        for task in history.recorded()
        if task.state in KEPT_TASK_STATES
        and task.result is not None
        and task.key not in dropped
        and not (is_changed and task.input_digest is None)
    ]


def adoptions(
    life: RunLife, tasks: Iterable[TaskLife], known: Mapping[str, TaskLife], stamp: Stamp
) -> list[TaskAdopted]:
    """known: tasks that the fork has adopted already. An event's id follows from the fork and the key."""
    assert life.fork_of is not None
    return [
        TaskAdopted(
            id=ids.task_run_id(life.id, f"{task.key}\x1fadopted"),
            at=stamp.now,
            source=SOURCE,
            run_id=life.id,
            task_run_id=ids.task_run_id(life.id, task.key),
            task_key=task.key,
            task_id=task.task_id,
            name=task.name,
            ordinal=task.ordinal,
            input_digest=task.input_digest,
            origin_run_id=life.fork_of,
            result=task.result,
            run_name=task.run_name,
            state_name=task.state_name,
            state_message=task.state_message,
            after=task.after,
        )
        for task in tasks
        if task.key not in known
    ]


def waits(history: History, from_key: str | None) -> list[TakenWait]:
    """The pauses and sleeps that were over before `from_key` began: the fork does not wait for them again."""
    keys = list(history.tasks)
    end = keys.index(from_key) if from_key in history.tasks else len(keys)
    return [
        TakenWait(key=wait.key, waits_for=wait.waits_for, input=wait.input, timed_out=wait.timed_out)
        for wait in history.waits.values()
        if wait.is_over and wait.waits_for in TAKEN_WAITS and wait.after <= end
    ]


def complete(life: RunLife | None, origin: RunLife, over: list[TakenWait], stamp: Stamp) -> tuple[Event, ...]:
    if life is None or not is_open(life) or life.fork_of is None:
        return ()
    overrides = {
        name: value
        for name, value in life.parameters.items()
        if name not in origin.parameters or origin.parameters[name] != value
    }
    return (
        RunForked(
            id=stamp.event_id,
            at=stamp.now,
            source=SOURCE,
            run_id=life.id,
            origin_run_id=life.fork_of,
            from_key=life.from_key,
            overrides=overrides,
            waits=over,
        ),
    )
