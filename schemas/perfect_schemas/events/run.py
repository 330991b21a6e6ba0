"""The life of a run. Subject: `perfect.evt.run.<run_id>` on EVENTS; every append is guarded.

Said by the engine: scheduled, queued, lost, pausing, cancelling, cancelled, crashed, resumed, retried, forked.
Said by the worker that holds the run: started, suspended, retrying, completed, failed, cancelled.
"""

from typing import Any, Literal

import msgspec

from perfect_schemas.envelope import Configuration, ErrorInfo, Event, Instant, StoredValue


class RunScheduled(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.scheduled"):
    """The run exists. First event of every run.

    due_at: when it may start; None means at once.
    origin: how it came about. parent_run_id, parent_task_key: the run (and place in it) that called a child run.
    fork_of, from_key: for a fork, the run that it takes its first results from, and the task that is the first to
        run again; it is queued when all of them are taken over (`run.forked`).
    deployment: the name of the one that it was started by.
    schedule_id: of the schedule that started it. backfill: it was started later, for an instant of a range that somebody
        asked for: it does not count for the schedule's overlap.
    """

    flow_id: str
    flow_name: str
    due_at: Instant | None = None
    configuration: Configuration = "development"
    parameters: dict[str, Any] = {}
    tags: list[str] = []
    origin: Literal["api", "schedule", "local", "child", "fork"] = "api"
    name: str | None = None
    queue: str = "default"
    priority: int = 0
    parent_run_id: str | None = None
    parent_task_key: str | None = None
    schedule_id: str | None = None
    idempotency_key: str | None = None
    fork_of: str | None = None
    from_key: str | None = None
    deployment: str | None = None
    backfill: bool = False


class RunQueued(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.queued"):
    """The run is due and waits for a worker. Its sequence names the hand-over: `<run_id>:<sequence>`."""

    queue: str = "default"
    priority: int = 0


class RunStarted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.started"):
    """The claim. `epoch` counts the claims of the run from 1 and fences every later event."""

    client_id: str
    client_name: str = ""


WaitsFor = Literal["input", "sleep", "child", "task", "slot"]


class OpenWait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the waits that a run is suspended for; its fields are those of `RunSuspended`."""

    key: str
    waits_for: WaitsFor
    wake_at: Instant | None = None
    input_schema: dict[str, Any] | None = None


class AwaitedTasks(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The distributed tasks that a run is suspended for: the end of any of them, or the loss of a worker that has one,
    resumes it. count: how many.

    after: sequence on EVENTS behind which all that was said of them stands. seen: up to where the run had heard of it.
    """

    count: int
    after: int
    seen: int


class RunSuspended(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.suspended"):
    """It waits and holds no slot. key: the task key or child run id or slot name waited for; `pausing-<epoch>` when
    somebody paused it from outside (`run.pausing`), or the run that called it in its own process: then any input
    resumes it, or it goes on with that one.

    wake_at: when it goes on by itself. input_schema: JSON Schema of the input that it waits for; None: any will do.
    beside: the other waits, in other branches of the flow; whichever is over first resumes the run.
    pending: when waits beside it that do not resume it will be over, by their keys: their clocks go on.
    tasks: when it waits for distributed tasks; they are one wait, under the key of one of them.
    """

    waits_for: WaitsFor
    wake_at: Instant | None = None
    key: str | None = None
    input_schema: dict[str, Any] | None = None
    pending: dict[str, Instant] = {}
    beside: list[OpenWait] = []
    tasks: AwaitedTasks | None = None


class RunResumed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.resumed"):
    """One of its waits is over. key: which; None: the one that `run.suspended` names first.

    lost: the client that is gone with distributed tasks of the run: they are to be handed over again.
    """

    input: Any = None
    key: str | None = None
    lost: str | None = None


class RunRetrying(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.retrying"):
    """The flow itself failed and will be tried again by its own `retries`. tries: how many have failed."""

    tries: int
    due_at: Instant
    error: ErrorInfo | None = None


class RunLost(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.lost"):
    """Its client's lease ended."""

    client_id: str
    reason: str


class RunPausing(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.pausing"):
    """Somebody wants the run to pause: it stops at its next call of a task, a child flow or a wait (`run.suspended`)."""

    by: str


class RunNamed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.named"):
    """What people call the run, made by its flow (`flow_run_name`) when it began without a name."""

    name: str


class RunCancelling(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.cancelling"):
    by: str


class RunRetried(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.retried"):
    """A person wants a final run tried again: failed tasks (or all from `from_key` on) run again."""

    by: str
    from_key: str | None = None


class TakenWait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pause or sleep that was over in the origin of a fork, or of a run that was restored. input: what it was resumed
    with. after: how many tasks had begun when it was reached first.
    """

    key: str
    waits_for: str
    input: Any = None
    timed_out: bool = False
    after: int = 0


class RunForked(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.forked"):
    """The run continues `origin_run_id` from `from_key` on; what stands before was adopted from it.

    overrides: parameters that differ from the origin's. waits: those that are not waited for again.
    """

    origin_run_id: str
    from_key: str | None = None
    overrides: dict[str, Any] = {}
    waits: list[TakenWait] = []


class RunCompleted(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.completed"):
    duration_ms: int
    result: StoredValue | None = None


class RunFailed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.failed"):
    duration_ms: int
    error: ErrorInfo


class RunCancelled(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.cancelled"):
    reason: str = ""


class RunCrashed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="run.crashed"):
    reason: str
