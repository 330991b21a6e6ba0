"""One execution of a run: from its parameters to the event that ends it.

Used by the worker's executors, by plain calls (`local.py`), by child runs and by `perfect_sdk.testing`:

    session = RunSession(run, flow, journal, history)
    outcome = session.execute_sync()          # or: await session.execute_async()

The session writes every task event and the run's end (`run.completed`, `run.failed`, `run.cancelled`) through the
journal; whoever makes it has written `run.scheduled` and `run.started` before. Plain calls find a running system by
`perfect_sdk.connect.connected_run(flow, run) -> ContextManager[tuple[RunContext, Journal]] | None`: None when nothing
answers within 100 ms; entering it (blocks) registers the flow, keeps presence and appends `run.scheduled` (origin
"local") and `run.started`; it yields the run completed with client and claim, and its journal; leaving it (blocks)
flushes and withdraws.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from perfect_schemas.envelope import Configuration, StoredValue

if TYPE_CHECKING:
    from perfect_schemas.folds.history import History
    from perfect_sdk.flow import Flow
    from perfect_sdk.journal import Journal


class RunContext(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run is; all data, so that it can go through a pipe.

    epoch, claim_seq: which claim of the run this execution is, and the sequence of its `run.started`.
    parameters: as JSON values; the session converts them to the types of the flow's signature.
    source: what its events carry as source, "worker:<client id>" …
    retry_failed: tasks that failed in an earlier epoch run again instead of raising their recorded error.
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
    retry_failed: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an execution ended.

    completed: `value` is what the flow returned, `stored` how the event keeps it. failed: `error` is what it raised.
    cancelled: somebody wanted it to end, `run.cancelled` is written. superseded: a newer epoch has the run (or it was
    abandoned), nothing was written. crashed: its end could not be written (`error`: why).
    """

    state: Literal["completed", "failed", "cancelled", "superseded", "crashed"]
    value: Any = None
    error: BaseException | None = None
    stored: StoredValue | None = None


class RunSession:
    def __init__(
        self, run: RunContext, flow: "Flow", journal: "Journal", history: "History | None" = None
    ) -> None: ...

    def execute_sync(self) -> Outcome:
        """Run the flow in the calling thread; an async flow gets a loop of its own. Never raises."""

    async def execute_async(self) -> Outcome:
        """Run an async flow on the current loop. Raises CancelledError only when the caller's own task is cancelled."""

    def cancel(self, by: str | None = None) -> None:
        """End the run soon; from any thread, more than once. An async flow gets CancelledError where it waits, sync
        code is stopped at its next SDK call.

        by: None when `run.cancelling` is written already (the engine's cancel); otherwise the session writes it.
        """

    def abandon(self) -> None:
        """Like cancel, but nothing more is written: the run belongs to somebody else. From any thread."""
