"""Commands: what somebody wants done. Request/reply on `perfect.cmd.<service>.<verb>`.

The caller makes the ids of what a command creates and repeats the command until it is answered or 10 s have
passed; a service answers a repeat like the first, without doing anything twice.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from perfect_schemas.envelope import Configuration, StoredValue
from perfect_schemas.errors import Problem
from perfect_schemas.events.flow import TaskDefinition


class RegisterFlow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.register`. Answer: Registered. Ids of tasks may be empty: the registry makes them."""

    name: str
    flow_version: str = ""
    description: str = ""
    tags: list[str] = []
    tasks: list[TaskDefinition] = []
    parameters: dict[str, Any] = {}
    entrypoint: str | None = None
    schedule: str | None = None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    flow_id: str
    flow_version: str
    new: bool


class RemoveFlow(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.remove`. Answer: Done. Conflicting while runs are live (the engine is asked)."""

    flow_id: str


class TriggerRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.engine.trigger`. Answer: Triggered. `flow`: id or name. `run_id`: made by the caller.

    scheduled_for: with its time zone; InvalidInput without.
    parent_run_id, parent_task_key: the run that waits for this one, and the place in it.
    """

    run_id: str
    flow: str
    configuration: Configuration = "development"
    parameters: dict[str, Any] = {}
    tags: list[str] = []
    idempotency_key: str | None = None
    scheduled_for: datetime | None = None
    name: str | None = None
    priority: int = 0
    origin: Literal["api", "schedule"] = "api"
    parent_run_id: str | None = None
    parent_task_key: str | None = None


class Triggered(msgspec.Struct, frozen=True, kw_only=True):
    """new: False when the idempotency key had already made this run."""

    run_id: str
    flow_id: str
    flow_name: str
    flow_version: str
    state: str
    created_at: datetime
    new: bool = True


class LiveRuns(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.live`. Answer: list[str], ids of the flow's runs that are not final."""

    flow_id: str


class CancelRun(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.cancel`. Answer: Done. Conflicting when the run is final."""

    run_id: str
    by: str


class PauseRun(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.pause`. Answer: Done, once it is recorded that the run is to pause: it stops at its next call
    of a task, a child flow or a wait. Conflicting unless it is RUNNING; harmless when it is to pause already.
    """

    run_id: str
    by: str


class ResumeRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.engine.resume`. Answer: Done. Ends a pause that waits for input.

    input: what the run's `wait_for_input` type is made from. Conflicting when the run does not wait for input;
    InvalidInput naming the fields when the input does not fit the schema that the run asked for.
    event_id: of the event that this makes, made by the caller: repeated with it, the command is carried out once.
    key: of the pause that is meant, when several branches of the run wait for input at once; without it that is
    Conflicting, naming their keys.
    """

    run_id: str
    by: str
    input: Any = None
    event_id: str | None = None
    key: str | None = None


class RetryRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.engine.retry`. Answer: Done. The same run, next epoch; its failed tasks run again, completed ones
    do not, except those from `from_key` on. Conflicting unless the run is FAILED, CRASHED or CANCELLED.

    event_id: of the event that this makes, made by the caller: repeated with it, the command is carried out once.
    """

    run_id: str
    by: str
    from_key: str | None = None
    event_id: str | None = None


class ForkRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.engine.fork`. Answer: Triggered. A new run `run_id` (made by the caller) that takes over the results
    of `origin_run_id` up to (not including) the task `from_key`; None takes over every completed task.

    parameters: replaces those given by name; None keeps the origin's.
    """

    run_id: str
    origin_run_id: str
    by: str
    from_key: str | None = None
    parameters: dict[str, Any] | None = None


class SetLimit(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.set_limit`. Answer: Done. At most `slots` holders of the name at once; 0 lets nobody in."""

    name: str
    slots: int
    by: str


class RemoveLimit(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.remove_limit`. Answer: Done. Whoever waits for the name goes on at once."""

    name: str
    by: str


class ShowLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.limits`. Answer: list[LimitView]."""


class Holder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who holds or wants slots: a place in one epoch of a run. key: task key or place in the flow's body."""

    run_id: str
    epoch: int
    key: str


class AcquireSlots(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.acquire`. Answer: Acquired. All of `names` together, `occupy` slots of each, or none.

    Asked again for the same holder, it answers the same. A name without a limit is granted at once. wait_s: how long
    the engine may keep the question before it answers `granted=False`; the place in the queue is kept for as long as
    the holder asks again within the lease.
    """

    names: list[str]
    holder: Holder
    occupy: int = 1
    wait_s: float = 5.0


class Acquired(msgspec.Struct, frozen=True, kw_only=True):
    """waiting_for: one sentence when it was not granted: the name, who holds it, since when."""

    granted: bool
    waiting_for: str | None = None


class ReleaseSlots(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.engine.release`. Answer: Done, also when nothing is held."""

    names: list[str]
    holder: Holder


class SlotView(msgspec.Struct, frozen=True, kw_only=True):
    holder: Holder
    flow_name: str
    occupy: int
    since: datetime


class LimitView(msgspec.Struct, frozen=True, kw_only=True):
    """holders: who is in. waiting: who wants in, next first."""

    name: str
    slots: int
    holders: list[SlotView]
    waiting: list[SlotView]


class SaveQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.save_query`. Answer: Done. Under a name that is taken it replaces what was there."""

    name: str
    text: str
    by: str = ""


class RemoveQuery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.remove_query`. Answer: Done. NotFound when none has that name."""

    name: str
    by: str = ""


class ShowQueries(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.queries`. Answer: list[SavedQuery] by name."""


class SavedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """text: one statement of SQL."""

    name: str
    text: str
    saved_at: datetime
    by: str = ""


class StartProcess(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.launcher.start`. Answer: ProcessStatus. `file`: below the workflows folder, or relative to it.

    Starting what is started already changes nothing. NotFound, InvalidInput for what may not be started.
    """

    file: str
    by: str


class StopProcess(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.launcher.stop`. Answer: ProcessStatus, once the process has ended. NotFound when it never ran."""

    file: str
    by: str


class ShowProcesses(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.launcher.status`. Answer: list[ProcessStatus] by file. log_lines: how many of the last ones."""

    file: str | None = None
    log_lines: int = 1000


class ProcessStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A client process of the launcher. file: relative to the workflows folder.

    wanted: it is to run. running: it does. restarts: how often it was started again since it was asked for.
    detail: what keeps it from running, or how it ended last. new: this command changed what is wanted.
    """

    file: str
    name: str
    wanted: bool
    running: bool
    pid: int | None = None
    started_at: datetime | None = None
    restarts: int = 0
    detail: str = ""
    logs: list[str] = []
    new: bool = False


class Done(msgspec.Struct, frozen=True):
    """The command was carried out, now or before."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every answer to a command or query: a value or a problem. seq: the EVENTS sequence the value is as of."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    problem: Problem | None = None
    seq: int | None = None


class HandOver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run handed to whichever worker takes it, on `perfect.work.<queue>.<flow_id>`.

    queued_seq: sequence of the `run.queued` that this answers, which the claim expects to be the run's last.
    epoch: the one that the claim begins. replay: whether there is history to read before the flow is called.
    """

    run_id: str
    flow_id: str
    flow_name: str
    queued_seq: int
    epoch: int
    configuration: Configuration
    parameters: dict[str, Any]
    tags: list[str] = []
    name: str | None = None
    replay: bool = False
    created_at: datetime | None = None
    queued_at: datetime | None = None
    parent_run_id: str | None = None


class TaskHandOver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A distributed task handed to whichever worker takes it, on `perfect.work.<queue>.<flow_id>~tasks`.

    dispatch_id: also the message's id. flow_id, flow_name: of the run. served_flow_id: the flow by which workers are
    found: the outermost one, when the run is a child inside another run's process. function: "module:qualified.name".
    arguments: [positional, by name], encoded like results. attempt, next_at: where an earlier dispatch stood.
    replay: an earlier dispatch may have got somewhere: there is history to read. retries … prints: how it is called.
    """

    dispatch_id: str
    queue: str
    run_id: str
    flow_id: str
    flow_name: str
    served_flow_id: str
    task_run_id: str
    task_key: str
    task_id: str
    name: str
    function: str
    epoch: int
    configuration: Configuration
    queued_at: datetime
    arguments: StoredValue
    ordinal: int = 0
    input_digest: str | None = None
    attempt: int = 1
    next_at: datetime | None = None
    replay: bool = False
    flow_version: str | None = None
    run_name: str | None = None
    tags: list[str] = []
    parameters: dict[str, Any] = {}
    parent_run_id: str | None = None
    parent_task_key: str | None = None
    created_at: datetime | None = None
    retries: int = 0
    delays: list[float] = []
    jitter: float = 0.0
    timeout_seconds: float | None = None
    serializer: Literal["json", "pickle"] = "json"
    prints: bool | None = None


class Presence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A client's key in the KV bucket CLIENTS; gone when its lease has ended.

    slots: runs that it may hold at once. flows: ids that it serves. queues: for which it serves them.
    """

    client_id: str
    name: str
    host: str
    pid: int
    slots: int
    flows: list[str] = []
    queues: list[str] = msgspec.field(default_factory=lambda: ["default"])
    draining: bool = False


class Control(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message to one client on `perfect.ctl.<client_id>`. A lost one is found in the run's history."""

    verb: Literal["cancel", "drain"]
    run_id: str | None = None


class Pausing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to one client on `perfect.ctl.<client_id>.pause`: somebody pauses the run. A lost one is found in the
    run's history. epoch: of the claim that is meant: one that comes late does not pause a run that was resumed meanwhile.
    """

    run_id: str
    epoch: int


class Forget(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.projector.forget`: what stands on `subject` of DEFS up to the sequence `through` is not needed there
    any more: it goes as soon as the read model's log holds it. Answer: Done.
    """

    subject: str
    through: int


class CopyReadModel(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.projector.copy`: write a copy of the DuckDB file as of now, for a backup. Answer: ReadModelCopy.

    copy_id: of the file; a repeat waits for the copy that is being written.
    """

    copy_id: str


class ReadModelCopy(msgspec.Struct, frozen=True, kw_only=True):
    """file: on the projector's host; whoever asked for it takes it away. offsets: stream → the last sequence in it.
    schema_version: of its tables.
    """

    file: str
    bytes: int
    schema_version: int
    offsets: dict[str, int]


class ReadPosition(msgspec.Struct, frozen=True, kw_only=True):
    """What the projector says after its commits: the last sequence on EVENTS that the read model shows."""

    events: int


class Health(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer on `perfect.qry.health.<service>`.

    lag: messages that the service has still to read from the bus. lag_ms: age of the oldest of them.
    """

    name: str
    status: Literal["starting", "ready", "degraded", "stopping", "missing"]
    lag: int = 0
    lag_ms: int = 0
    detail: str = ""
    pid: int | None = None
    started_at: datetime | None = None
    metrics: dict[str, float] = {}
