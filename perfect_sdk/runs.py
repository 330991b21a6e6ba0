"""What a run is to the code that executes it, and how an execution ends; all data."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from perfect_schemas.envelope import Configuration, StoredValue
from perfect_sdk.states import AwaitingRetry, Cancelled, Completed, Crashed, State, Suspended, failed_by


class RunContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run is; all data, so that it can go through a pipe.

    epoch, claim_seq: which claim of the run this execution is, and the sequence of its `run.started`.
    parameters: as JSON values; the session converts them to the types of the flow's signature.
    source: what its events carry as source, "worker:<client id>" …
    engine_retries: an engine hands the run out again for the next try of a flow with `retries`.
    suspends: an engine hands the run out again when a wait is over: its code is unwound for the time.
    scheduled_for: when it was to start, None for at once. deployment: the name of the one that it was started by.
    """

    run_id: str
    flow_id: str
    flow_name: str
    flow_version: str | None = None
    epoch: int = 1
    claim_seq: int = 0
    configuration: Configuration = "development"
    parameters: dict[str, Any] = {}
    tags: list[str] = []
    name: str | None = None
    client_id: str = ""
    client_name: str = ""
    source: str = "local"
    parent_run_id: str | None = None
    parent_task_key: str | None = None
    created_at: datetime | None = None
    engine_retries: bool = False
    suspends: bool = False
    scheduled_for: datetime | None = None
    deployment: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution ended.

    completed: `value` is what the flow returned, `stored` how the event keeps it. failed: `error` is what it raised.
    cancelled: somebody wanted it to end, `run.cancelled` is written. superseded: a newer epoch has the run (or it was
    abandoned), nothing was written. crashed: its end could not be written (`error`: why). retrying: it failed with
    `error`, `run.retrying` is written, and the engine will hand it out again. suspended: it waits, `run.suspended` is
    written, and the engine will hand it out again when the wait is over. returned: the state that the flow returned, or that
    those which it returned come to. is_several: these are what the caller gets (`value`), whatever became of the run.
    """

    state: Literal["completed", "failed", "cancelled", "superseded", "crashed", "retrying", "suspended"]
    value: Any = None
    error: BaseException | None = None
    stored: StoredValue | None = None
    returned: State[Any] | None = None
    is_several: bool = False

    @property
    def is_crash(self) -> bool:
        """Whether it was no failure of the flow's own: what ended it is no Exception (`sys.exit()`), or it says so itself."""
        if self.state != "failed":
            return self.state == "crashed"
        is_said = self.returned is not None and self.returned.is_crashed()
        return is_said or not isinstance(self.error, Exception)

    def as_state(self) -> State[Any]:
        if self.returned is not None:
            return self.returned
        message = None if self.error is None else f"{type(self.error).__name__}: {self.error}"
        if self.state == "completed":
            return Completed(data=self.value)
        if self.state == "failed" and isinstance(self.error, Exception):
            return failed_by(self.error)
        make = {
            "cancelled": Cancelled,
            "retrying": AwaitingRetry,
            "suspended": Suspended,
        }.get(self.state, Crashed)
        return make(message=message, data=self.error)


class FlowRun(msgspec.Struct, frozen=True, kw_only=True):
    """What hooks get as `flow_run`."""

    id: str
    name: str | None
    flow_id: str
    parameters: dict[str, Any]
    tags: list[str]
    run_count: int
    state: State[Any]
    flow_name: str = ""
    flow_version: str | None = None
    created: datetime | None = None
    expected_start_time: datetime | None = None
    deployment: str | None = None
    parent_run_id: str | None = None


def flow_run_of(run: RunContext, run_count: int, state: State[Any]) -> FlowRun:
    return FlowRun(
        id=run.run_id,
        name=run.name or run.run_id,
        flow_id=run.flow_id,
        parameters=run.parameters,
        tags=run.tags,
        run_count=run_count,
        state=state,
        flow_name=run.flow_name,
        flow_version=run.flow_version,
        created=run.created_at,
        expected_start_time=run.scheduled_for or run.created_at,
        deployment=run.deployment,
        parent_run_id=run.parent_run_id,
    )
