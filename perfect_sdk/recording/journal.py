"""Where a run's facts go: the one interface between running a flow and the world.

`BusJournal` (worker and connected scripts) puts them on NATS; `MemoryJournal` (plain local calls, users' tests) keeps
them in a list. A flow cannot tell which one it has.
"""

from typing import TYPE_CHECKING, Any, Protocol

from perfect_schemas.envelope import Event, StoredValue
from perfect_schemas.events import LogLine

if TYPE_CHECKING:
    from concurrent.futures import Future

    from perfect_schemas.commands import Reply
    from perfect_schemas.events import RunResumed
    from perfect_schemas.folds.history import History
    from perfect_schemas.folds.run import RunLife
    from perfect_sdk.caching.cache_entry import CacheEntry
    from perfect_sdk.remote.dispatcher import Dispatcher
    from perfect_sdk.running.session import RunContext, RunSession


class RunSupersededError(BaseException):
    """The run's life has moved on to a newer epoch: whoever sees this stops at once and writes nothing more."""


class RunCancelledError(BaseException):
    """Somebody wants the run to end: unwind, then write `run.cancelled`."""


class FlowSuspended(BaseException):
    """The run waits and gives up its slot: its code is unwound, and called again when the wait is over. `finally` blocks
    run now; code outside of tasks runs again then.
    """


class Journal(Protocol):
    """Thread-safe: called from the user's threads and event loops. is_recorded: others see what is written.

    is_pausing: somebody wants the run to pause, as far as it is known here (`run.pausing`).
    """

    is_recorded: bool
    is_pausing: bool

    @property
    def dispatcher(self) -> "Dispatcher | None":
        """How tasks with a queue get to other workers; None: they run here."""

    def emit(self, event: Event) -> None:
        """Hand over a fact that nothing waits for (`task.started` …). Costs microseconds, keeps the order, is never
        left out; waits only while the outbox is full.
        """

    def commit(self, event: Event) -> None:
        """Store a fact that later work builds on (final task events, the end of the run), guarded on the run's claim.

        Returns when it is stored, after everything emitted before it. Blocks: for sync code.
        Raises RunSupersededError, RunCancelledError, or what `perfect_bus.append` raises.
        """

    async def commit_async(self, event: Event) -> None:
        """`commit` for async code, on whatever event loop it runs."""

    def log(self, line: LogLine) -> None:
        """Hand over a log line; batches leave every 50 ms or 200 lines."""

    def store(self, name: str, data: bytes) -> str:
        """Keep a large value (≥ CLAIM_CHECK_BYTES) outside of events; returns its reference. Blocks."""
        raise NotImplementedError

    def load(self, stored: StoredValue) -> bytes:
        """The bytes behind a reference. Blocks."""
        raise NotImplementedError

    def recall(self, digest: str) -> "CacheEntry | None":
        """What the cache has under the digest of a cache key. Blocks."""
        raise NotImplementedError

    def remember(self, digest: str, entry: "CacheEntry") -> None:
        """Let later calls of any run have it. Blocks. Raises Failed when it cannot be kept."""
        raise NotImplementedError

    def live(self, payload: dict[str, Any]) -> None:
        """High-rate progress for whoever watches now; may be lost."""

    def child(self, run: "RunContext") -> "Journal":
        """The journal of a run that starts inside this one, on subjects of its own. No I/O yet.

        Its first commit is `run.scheduled` on an empty subject (guard 0), then `run.started`; each commit on the run's
        own subject is guarded on the one before. When the run may exist already (the parent is replayed), `history`
        is called first.
        """
        raise NotImplementedError

    def history(self) -> "History":
        """What stands on this run's subjects now; the next commit is guarded on its last run event. Blocks.

        Only called for child runs: the worker reads the history of the run that it claims.
        """
        raise NotImplementedError

    def steers(self, session: "RunSession") -> None:
        """From now on tell `session` what somebody wants of the run from outside. Only where its own process is told of
        it (connected scripts): on a worker the supervisor is, and passes it on.
        """

    def ask(
        self, subject: str, request: Any, *, timeout_s: float = 10.0, try_s: float = 2.0
    ) -> "Future[Reply]":
        """A service's answer. Fails with what it answered as a problem, ServiceUnavailable when none answers within
        `timeout_s`. try_s: how long an answer may take before the question is repeated.
        """
        raise NotImplementedError

    def after(self, seconds: float) -> "Future[None]":
        """Done when the time has passed."""
        raise NotImplementedError

    def life(self, run_id: str) -> "Future[RunLife | None]":
        """Any run's life as it is now."""
        raise NotImplementedError

    def until_final(self, run_id: str) -> "Future[RunLife]":
        """Any run's life, once it has ended."""
        raise NotImplementedError

    def until_resumed(self) -> "Future[RunResumed]":
        """What resumes this run, after its `run.suspended` was committed; the next commit is guarded on it. Fails with
        RunCancelledError or RunSupersededError when something else becomes of the run.
        """
        raise NotImplementedError
