"""The tasks of a run. Subject: `perfect.evt.task.<run_id>` on EVENTS, said by the worker that executes them.

The final ones are guarded on the *run's* subject: once the run's life has moved on, they are refused. Those of a
distributed task are not: they are judged by its dispatch, see `folds.history`.
"""

from typing import Literal

from perfect_schemas.envelope import ErrorInfo, Event, Instant, StoredValue

MOST_SOURCES = 1000


class _TaskEvent(Event, frozen=True, kw_only=True, omit_defaults=True):
    """What a replay needs of every task event.

    name: of the task. ordinal: its place in its scope, from 0. input_digest: hex SHA-256 over the encoded inputs, "~"
    before it when stars stood in place of a secret; None when they cannot be encoded. In the events with which it begins,
    tags: the task's own and those around its call; after: keys of the tasks of this run that its inputs and `wait_for`
    came from, at most `MOST_SOURCES`.
    """

    task_run_id: str  # pyright: ignore[reportGeneralTypeIssues]
    task_key: str  # pyright: ignore[reportGeneralTypeIssues]
    task_id: str
    name: str
    ordinal: int = 0
    input_digest: str | None = None
    tags: list[str] = []
    after: list[str] = []


class _Executed(_TaskEvent, frozen=True, kw_only=True, omit_defaults=True):
    """dispatch_id: said by the worker that took this dispatch of a distributed task, of the task itself or of one that
    its body called.
    """

    dispatch_id: str | None = None


class TaskQueued(_TaskEvent, frozen=True, kw_only=True, omit_defaults=True, tag="task.queued"):
    """Handed over to another worker by `queue`; said by the worker that holds the run, guarded on the run.

    replaces: the dispatch that was lost with the worker `client_id`, whose place this one takes. losses: how many of
    this task were lost so far. run_name: what people call this task run.
    """

    queue: str
    dispatch_id: str
    replaces: str | None = None
    client_id: str | None = None
    losses: int = 0
    run_name: str | None = None


class TaskStarted(_Executed, frozen=True, kw_only=True, omit_defaults=True, tag="task.started"):
    """client_id: who runs it. With a dispatch_id it is a claim: the first one of the dispatch holds it.
    run_name: what people call this task run, when that is not its key.
    """

    client_id: str | None = None
    run_name: str | None = None


class TaskRetrying(_Executed, frozen=True, kw_only=True, omit_defaults=True, tag="task.retrying"):
    """`attempt` failed; the next one starts at `next_at`."""

    next_at: Instant
    error: ErrorInfo


class TaskCompleted(_Executed, frozen=True, kw_only=True, omit_defaults=True, tag="task.completed"):
    """result: None when the value could not be stored; the task runs again on a resume. state_name, state_message: of
    the state that the task returned, when it has a name of its own.
    """

    duration_ms: int
    result: StoredValue | None = None
    state_name: str | None = None
    state_message: str | None = None


class TaskCached(_Executed, frozen=True, kw_only=True, omit_defaults=True, tag="task.cached"):
    """The result came from the cache; the body was not called."""

    cache_key: str
    result: StoredValue | None = None
    run_name: str | None = None


class TaskFailed(_Executed, frozen=True, kw_only=True, omit_defaults=True, tag="task.failed"):
    duration_ms: int
    error: ErrorInfo


class TaskSkipped(_Executed, frozen=True, kw_only=True, omit_defaults=True, tag="task.skipped"):
    reason: str


class TaskAdopted(_TaskEvent, frozen=True, kw_only=True, omit_defaults=True, tag="task.adopted"):
    """The result was taken over from `origin_run_id`; the body does not run again.

    outcome, error, reason: of a run that was restored (`origin_run_id` is its own id): how the task had ended.
    run_name, state_name, state_message, after: as it had them.
    """

    origin_run_id: str
    result: StoredValue | None = None
    outcome: Literal["COMPLETED", "FAILED", "SKIPPED", "CANCELLED", "CRASHED"] = "COMPLETED"
    error: ErrorInfo | None = None
    reason: str | None = None
    run_name: str | None = None
    state_name: str | None = None
    state_message: str | None = None
