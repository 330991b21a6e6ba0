"""What goes to workers by way of the stream WORK."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from perfect_schemas.envelope import Configuration, StoredValue


class HandOver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A run handed to whichever worker takes it, on `perfect.work.<queue>.<flow_id>`.

    queued_seq: sequence of the `run.queued` that this answers, which the claim expects to be the run's last. 0 when it was
    sent together with that event, which is named by `queued_id` then.
    epoch: the one that the claim begins. replay: whether there is history to read before the flow is called.
    scheduled_for: when the run was to start, None for at once. deployment: that it was started by.
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
    scheduled_for: datetime | None = None
    deployment: str | None = None
    queued_id: str | None = None


class TaskHandOver(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A distributed task handed to whichever worker takes it, on `perfect.work.<queue>.<flow_id>~tasks`.

    dispatch_id: also the message's id. flow_id, flow_name: of the run. served_flow_id: the flow by which workers are
    found: the outermost one, when the run is a child inside another run's process. function: "module:qualified.name".
    arguments: [positional, by name], encoded like results. attempt, next_at: where an earlier dispatch stood.
    replay: an earlier dispatch may have got somewhere: there is history to read. retries … prints: how it is called.
    tags: of the run. tags_around: of the code that calls the task.
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
    tags_around: list[str] = []
