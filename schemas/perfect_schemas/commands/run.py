"""Runs: beginning them, and what a person does to them."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from perfect_schemas.envelope import Configuration


class TriggerRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.engine.trigger`. Answer: Triggered. `flow`: id or name, or FLOW/DEPLOYMENT by name. `run_id`: made by the
    caller. deployment: of the flow; its parameters and tags are the run's defaults.

    scheduled_for: with its time zone; InvalidInput without.
    is_checked: of a task in the background: whoever delays it has the function, and has checked the parameters. They may
        name what other runs are to return.
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
    deployment: str | None = None
    schedule_id: str | None = None
    backfill: bool = False
    is_checked: bool = False


class Triggered(msgspec.Struct, frozen=True, kw_only=True):
    """new: False when the idempotency key had already made this run. parameters, tags: the run's, with what its
    deployment adds.
    """

    run_id: str
    flow_id: str
    flow_name: str
    flow_version: str
    state: str
    created_at: datetime
    new: bool = True
    parameters: dict[str, Any] | None = None
    tags: list[str] | None = None
    deployment: str | None = None


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
