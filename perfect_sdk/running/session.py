"""One execution of a run: from its parameters to the event that ends it.

Used by the worker's executors, by plain calls (`local.py`), by child runs and by `perfect_sdk.testing`:

    session = RunSession(run, flow, journal, history)
    outcome = session.execute_sync()          # or: await session.execute_async()

The session writes every task event and the run's end (`run.completed`, `run.failed`, `run.cancelled`) through the
journal; whoever makes it has written `run.scheduled` and `run.started` before. `connect.connected_run(flow, run)` finds
a running system for plain calls: None when nothing answers within 100 ms, else a context manager (both ends block) that
registers the flow, keeps presence, starts the run (origin "local") and yields it, completed with client and claim, and
its journal. `Tries` holds the rules of an execution; the session is what they and the calls inside share.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas import ids
from perfect_schemas.envelope import Event, StoredValue, utc_now
from perfect_schemas.events import ArtifactSaved, RunStarted
from perfect_schemas.folds.history import History, Wait
from perfect_schemas.folds.task import TaskLife
from perfect_sdk.calling.sources import Sources
from perfect_sdk.context import Frame, branching
from perfect_sdk.exceptions import NonDeterministicFlowError
from perfect_sdk.recording.journal import RunCancelledError, RunSupersededError
from perfect_sdk.recording.saying import line_of
from perfect_sdk.running.effects import Commit, Steps, Waiting, drive, drive_async
from perfect_sdk.running.replay import Replay
from perfect_sdk.running.tries import Tries
from perfect_sdk.runs import FlowRun, Outcome, RunContext, flow_run_of
from perfect_sdk.states import State
from perfect_sdk.waiting import resting
from perfect_sdk.waiting.floor import Code, Floor
from perfect_sdk.waiting.stopping import Stop

if TYPE_CHECKING:
    from perfect_sdk.cache_policies import CachePolicy
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.calling.keys import Place
    from perfect_sdk.flow import Flow
    from perfect_sdk.recording.artifact_pace import ArtifactPace
    from perfect_sdk.recording.journal import Journal
    from perfect_sdk.submitting.pool import Pool

LEVELS = {"debug": 10, "development": 20, "release": 30}

__all__ = ["FlowRun", "Outcome", "RunContext", "RunSession"]


class RunSession:
    """caller: the frame that calls this flow as a child run. values: the parameters as Python values, when the caller
    has them already. interruptible: a KeyboardInterrupt, or a cancellation of the caller's asyncio task, is somebody's
    wish that the run end; otherwise (a worker that shuts down) nothing is written.

    replay: what an earlier execution has done, None when there is none. has_futures: whether any were made, so that
    inputs need looking through. epoch: of the events that are written now. retry_epoch: tasks that failed up to this
    epoch run again instead of raising their recorded error. reruns, lost: as in `History`. loop: that an async flow runs on.
    root: the session of the outermost run, which this one is a child of, or itself.
    keeper: called when the run is suspended and its code stays in memory; None: it never does. memory: what this session
    has written, for a next try that it starts itself. left: how the flow left its history; fails the run, even if the flow
    catches the error. artifacts: by id, as they are now. saved: the ids of those saved before. pace: of what is said of
    progress artifacts. results_by_key: what is cached for this run only. sources: what its tasks returned. cache: of tasks that say nothing of it.
    has_flow: False for a task called outside of one (`outside.py`): nothing of it is ever replayed.
    """

    has_flow = True

    def __init__(
        self,
        run: RunContext,
        flow: "Flow[..., Any]",
        journal: "Journal",
        history: History | None = None,
        *,
        values: dict[str, Any] | None = None,
        caller: Frame | None = None,
        interruptible: bool = False,
    ) -> None:
        self.run = run
        self.flow = flow
        self.journal = journal
        self.values = values
        self.caller = caller
        self.interruptible = interruptible
        self.stop = Stop()
        self.root: RunSession = caller.session.root if caller is not None else self
        self.floor: Floor = caller.session.floor if caller is not None else Floor()
        self.code = Code(self)
        self.waits: dict[str, Wait] = dict(history.waits) if history is not None else {}
        self.lost: dict[str, int] = dict(history.lost) if history is not None else {}
        self.epoch = run.epoch
        life = history.run if history is not None else None
        self.retry_epoch = history.retry_epoch if history is not None else 0
        self.replay = Replay(history.recorded()) if history is not None and history.tasks else None
        self.reruns: Mapping[str, int] = history.reruns if history is not None else {}
        self.has_futures = False
        self.level = LEVELS[run.configuration]
        self.captures_prints = run.configuration != "release"
        self.shows_variables = run.configuration == "debug"
        self.loop: Any = None
        self.artifacts: dict[str, ArtifactSaved] = {}
        self.saved = history.saved if history is not None else frozenset[str]()
        self.pace: ArtifactPace | None = None
        self.memory = (history or History()) if flow.policy.retries and not run.engine_retries else None
        self.left: NonDeterministicFlowError | None = None
        self.results_by_key: dict[str, StoredValue] = {}
        self.sources = Sources()
        self.cache: CachePolicy | None = flow.policy.cache or (caller.session.cache if caller else None)
        self._tries = Tries(self, values, life.tries if life is not None else 0)
        self._task_ids: dict[str, str] = {}
        self._warned: set[object] = set()
        self._pool: Pool | None = None
        self._lock = threading.Lock()
        self._cancellations = 0
        self.keeper: Callable[[], None] | None = None

    # -- for whoever executes the run

    def execute_sync(self) -> Outcome:
        """Run the flow in the calling thread; an async flow gets a loop of its own."""
        if self.flow.is_async:
            import asyncio

            return asyncio.run(self.execute_async())
        from perfect_sdk.recording import logs

        with self._following_caller(), logs.captured(self):
            return drive(self._tries.steps())

    async def execute_async(self) -> Outcome:
        """Run an async flow on the current loop. Raises CancelledError only when the caller's own task is cancelled."""
        import asyncio

        from perfect_sdk.recording import logs

        loop = self.loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._cancellations = task.cancelling()

        def wake() -> None:
            # else FlowSuspended is on its way up
            if self.stop.kind != "suspend" or _current_task() is not task:
                loop.call_soon_threadsafe(task.cancel)

        if self.caller is None:
            self.stop.add(wake)
        try:
            with self._following_caller(), logs.captured(self), branching(loop):
                return await drive_async(self._tries.steps())
        finally:
            if self.caller is None:
                self.stop.remove(wake)
                while self.stop.kind is not None and task.cancelling() > self._cancellations:
                    task.uncancel()

    def is_cancelled_from_outside(self) -> bool:
        """Whether the asyncio task that executes the flow was cancelled since it began."""
        import asyncio

        task = asyncio.current_task() if self.loop is not None else None
        return task is not None and task.cancelling() > self._cancellations

    def cancel(self, by: str | None = None) -> None:
        """End the run soon; from any thread, more than once. An async flow gets CancelledError where it waits, sync
        code is stopped at its next SDK call.

        by: None when `run.cancelling` is written already (the engine's cancel); otherwise the session writes it.
        """
        self.stop.cancel(by)

    def abandon(self) -> None:
        """Like cancel, but nothing more is written: the run belongs to somebody else. From any thread."""
        self.stop.abandon()

    def follow_caller(self) -> None:
        """A child run stops with its parent. Whoever finds the code left asks himself: the signal comes from another
        thread, and the parent's asyncio task, which this one runs in, may have been cancelled before it is here.
        """
        if self.caller is None:
            return
        parent = self.caller.session
        parent.follow_caller()
        if parent.stop.kind == "abandon":
            self.stop.abandon(parent.stop.reason)
        elif parent.stop.kind == "suspend":
            self.stop.suspend()
        elif parent.stop.kind is not None:
            self.stop.cancel(f"run {parent.run.run_id}")

    @contextmanager
    def _following_caller(self) -> Iterator[None]:
        if self.caller is None:
            yield
            return
        parent = self.caller.session
        parent.stop.add(self.follow_caller)
        try:
            yield
        finally:
            parent.stop.remove(self.follow_caller)

    @property
    def is_pausing(self) -> bool:
        """Whether somebody pauses the run from outside; child runs stop with the one that called them."""
        return self.root.journal.is_pausing

    @property
    def is_suspended(self) -> bool:
        """Whether the run waits. Its code has no business going on then: it is unwound when this is asked."""
        if self.root.floor.is_resting:
            resting.unwind(self.root)
        return self.stop.kind == "suspend"

    # -- its claim on the run

    def go_on(self, run: RunContext, history: History) -> None:
        """The run, whose code rested, is claimed again."""
        self.run = run
        self.epoch = run.epoch
        self.waits.update(history.waits)
        self.lost.update(history.lost)
        self._tries.claimed_again()

    def next_epoch(self) -> Steps[None]:
        """Claim the run again, in the same process."""
        run = self.run
        self.epoch += 1
        claim = RunStarted(
            id=ids.uuid7(),
            at=utc_now(),
            source=run.source,
            run_id=run.run_id,
            epoch=self.epoch,
            flow_version=run.flow_version,
            client_id=run.client_id,
            client_name=run.client_name,
        )
        yield Commit(self, claim)

    # -- for what runs inside

    def emit(self, event: Event) -> None:
        self.journal.emit(event)
        if self.memory is not None:
            self.stored(event)

    def stored(self, event: Event) -> None:
        """Remember it for the next try of the flow, if there may be one."""
        if self.memory is not None:
            with self._lock:
                self.memory.apply(event, self.memory.seq + 1)

    def refused(self, event: Event, error: BaseException) -> None:
        """The journal did not take it: everything of this run stops. Raises what the caller is to see."""
        if isinstance(error, RunCancelledError):
            self.stop.cancel(None)
        elif isinstance(error, RunSupersededError):
            self.stop.abandon()
        elif isinstance(error, Exception):
            self.stop.abandon(error)
            raise RunSupersededError(f"{event.type} could not be stored: {error}") from error

    def learned(self, life: TaskLife) -> None:
        """What another worker has done of this run; remembered for the next try of the flow, if there may be one."""
        if self.memory is not None:
            with self._lock:
                self.memory.tasks[life.key] = life

    def left_history(self, error: NonDeterministicFlowError) -> None:
        with self._lock:
            self.left = self.left or error

    def check_history(self) -> None:
        """Raises NonDeterministicFlowError when the flow has left its history."""
        if self.left is not None:
            raise self.left

    # -- waits

    def wait_is_over(self, wait: Wait, *, value: Any = None, timed_out: bool = False) -> Wait:
        """Remember it for a next try of the flow."""
        over = msgspec.structs.replace(wait, is_over=True, input=value, timed_out=timed_out)
        self.waits[wait.key] = over
        return over

    def child_id(self, key: str) -> str:
        """The id of the child run at `key`. Another one when this run is tried again from there or before: what the
        first one did does not count.
        """
        again = self.reruns.get(key)
        return ids.child_run_id(self.run.run_id, key if again is None else f"{key}\x1f{again}")

    def is_past(self, place: "Place") -> bool:
        return self.replay is not None and self.replay.is_past(place)

    def expect_no_task(self, place: "Place") -> None:
        """Raises NonDeterministicFlowError when the history has a task where the flow now waits."""
        there = self.replay.at(place) if self.replay is not None else None
        if there is not None:
            error = NonDeterministicFlowError(there.key, place.key, "a wait stands at this place")
            self.left_history(error)
            raise error

    def task_id(self, name: str) -> str:
        found = self._task_ids.get(name)
        if found is None:
            found = self._task_ids[name] = ids.task_id(self.run.flow_id, name)
        return found

    def warn_once(self, subject: object) -> bool:
        """Whether this run has not been warned of `subject` before."""
        with self._lock:
            if subject in self._warned:
                return False
            self._warned.add(subject)
            return True

    def say(
        self, level: int, message: str, *, call: "Call | None" = None, error: BaseException | None = None
    ) -> None:
        """A log line of the SDK itself. `error`: with its traceback, unless an earlier line had it."""
        if level < self.level:
            return
        self.journal.log(line_of(level, message, call, error))

    def pool(self) -> "Pool":
        """Where submitted calls run; made when first needed."""
        with self._lock:
            if self._pool is None:
                from perfect_sdk.submitting.pool import Pool

                self._pool = Pool(self)
                self.has_futures = True
            return self._pool

    def open_calls(self, *, drop_waiting: bool = False) -> Sequence[Waiting]:
        """Submitted calls that are not done. drop_waiting: those that have not begun are dropped first."""
        if self._pool is None:
            return ()
        if drop_waiting:
            self._pool.drop_waiting()
        return self._pool.open()

    def flow_run(self, state: State[Any]) -> FlowRun:
        return flow_run_of(self.run, self.epoch, state)

    def close_pool(self) -> None:
        if self._pool is not None:
            self._pool.close()

    def event(self, kind: type[Any], /, **fields: Any) -> Any:
        run = self.run
        return kind(
            id=ids.uuid7(),
            at=utc_now(),
            source=run.source,
            run_id=run.run_id,
            epoch=self.epoch,
            flow_version=run.flow_version,
            **fields,
        )


def _current_task() -> Any:
    import asyncio

    with suppress(RuntimeError):
        return asyncio.current_task()
    return None
