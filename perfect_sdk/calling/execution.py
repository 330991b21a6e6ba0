"""One call of a task: replayed, run, retried, recorded.

`Call.steps` holds the rules; `effects` carries out what it yields. The order is the promise: a call returns only after
its `task.completed` is stored, so whatever the flow does next builds on what a resume will find.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from perfect_schemas import ids
from perfect_schemas.envelope import StoredValue, utc_now
from perfect_schemas.events import TaskCompleted, TaskFailed, TaskSkipped, TaskStarted
from perfect_schemas.folds.task import BEGINS, TaskLife
from perfect_schemas.states import FINAL_TASK_STATES, KEPT_TASK_STATES, TaskState
from perfect_sdk import results
from perfect_sdk.annotations import Annotation
from perfect_sdk.calling import retrying, sources
from perfect_sdk.calling.policy import Policy
from perfect_sdk.calling.task_body import Body
from perfect_sdk.calling.task_result import digest_of, keep, returns_of
from perfect_sdk.committing import ending
from perfect_sdk.context import Frame, tagged
from perfect_sdk.encoding import failures
from perfect_sdk.exceptions import NonDeterministicFlowError, UpstreamTaskError
from perfect_sdk.running.effects import Blocking, CallHook, Commit, Sleep, Steps, WaitFor
from perfect_sdk.states import Completed, Running, State, failed_by, raise_state_exception
from perfect_sdk.waiting.floor import inside

if TYPE_CHECKING:
    from perfect_sdk.committing.transaction import Transaction
    from perfect_sdk.running.session import RunSession
    from perfect_sdk.submitting.process_pool import Processes

_ERROR = 40


class Call:
    """A call of a task within a run. Its key is taken here, when the call is made.

    what: the Task, as hooks get it. id: of the task run, the same on every execution. seq: of the recorded end, when
    it is replayed. is_submitted: its caller goes on beside it. args, kwargs: futures among them are replaced by their results before anything else happens.
    stored: its result as the history keeps it. state: the one that it returned, or `Cached`. cache_key: under which
    others find its result. after: keys of the tasks that its inputs came from. transaction: its own, once there is something to commit or undo.
    processes: where its function runs, None for here.
    """

    __slots__ = (
        "_run_name",
        "after",
        "args",
        "attempt",
        "cache",
        "cache_key",
        "digest",
        "fn",
        "frame",
        "id",
        "is_cached",
        "is_submitted",
        "kwargs",
        "place",
        "policy",
        "processes",
        "record",
        "seq",
        "session",
        "state",
        "stored",
        "tags",
        "task_id",
        "transaction",
        "wait_for",
        "what",
    )

    def __init__(
        self,
        frame: Frame,
        what: Any,
        policy: Policy,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wait_for: Any = (),
    ) -> None:
        session = frame.session
        self.session: RunSession = session
        self.frame = frame
        self.what = what
        self.policy = policy
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.wait_for = wait_for
        self.place = frame.scope.take(policy.name)
        self.id = ids.task_run_id(session.run.run_id, self.place.key)
        self.task_id = session.task_id(policy.name)
        self.tags = tagged(getattr(what, "tags", ()))
        self.attempt = 1
        self.digest: str | None = None
        self.record: TaskLife | None = None
        self.seq: int | None = None
        self.is_submitted = False
        self.begins_anew()

    def begins_anew(self) -> None:
        self._run_name: str | None = None
        policy = self.policy
        self.cache = policy.cache or (self.session.cache if policy.caches_as_flow else None)
        self.cache_key: str | None = None
        self.is_cached = False
        self.state: State[Any] | None = None
        self.stored: StoredValue | None = None
        self.transaction: Transaction | None = None
        self.after: Sequence[str] = ()
        self.processes: Processes | None = None

    is_flow = False  # a child flow's call
    is_hook = False  # of a transaction: sync code waits for what it returns, if that is awaitable

    # -- the rules

    def steps(self) -> Steps[Any]:
        session = self.session
        self.frame.check()
        found = session.sources.among(self.args, self.kwargs, self.wait_for)
        if session.has_futures or Annotation.made:
            yield from self._inputs()
        self.after = sources.joined(self.after, found) if found else self.after
        if session.has_flow:
            self.digest = digest_of(self.args, self.kwargs)
        if session.replay is not None:
            self._match()
            record = self.record
            if record is not None and record.state in FINAL_TASK_STATES:
                self.seq = record.last_seq
                if record.state in KEPT_TASK_STATES and record.result is not None:
                    value = yield from self._recorded(record.result)
                    session.sources.learn(record.key, value, record.result)
                    yield from self._replayed(record, value)
                    return value
                if record.state is TaskState.FAILED and record.error and record.epoch > session.retry_epoch:
                    yield from self._undone()
                    raise failures.restore(record.error)
                self.seq = None
        if session.is_pausing:
            from perfect_sdk.waiting.holding import before

            yield from before(self)
        session.floor.opened(self)
        try:
            if self.cache is not None:
                from perfect_sdk.caching import cached_call

                value = yield from cached_call.look_up(self)
                if value is not cached_call.MISS:
                    return value
            value = yield from self._work()
            session.sources.learn(self.place.key, value, self.stored)
            yield from self._ended(value)
        except Exception:
            yield from self._undone()
            raise
        else:
            return value
        finally:
            session.floor.closed(self)

    def _work(self) -> Steps[Any]:
        if self.is_remote:
            from perfect_sdk.remote.call import dispatched

            return (yield from dispatched(self))
        if self.record is not None and self.record.state not in FINAL_TASK_STATES:
            yield from self._resume(self.record)
        return (yield from self._attempts())

    def _inputs(self) -> Steps[None]:
        """Wait for the futures among the inputs and put their results in their places."""
        from perfect_sdk.calling import inputs
        from perfect_sdk.futures import PerfectFuture

        found = inputs.find((self.args, self.kwargs, self.wait_for))
        if not found:
            return  # the arguments stay the very objects that they are
        futures = [each for each in found if isinstance(each, PerfectFuture)]
        with self.session.floor.awaiting(inside(self), [each._job.future for each in futures]):
            yield WaitFor(futures)
        self.after = sources.of_futures(futures, self.session.run.run_id)
        try:
            inputs.replace(self.wait_for)
            self.args, self.kwargs = inputs.replace(self.args), inputs.replace(self.kwargs)
        except UpstreamTaskError as error:
            if self.session.replay is None or self.place.key not in self.session.replay.keys:
                yield Commit(self.session, self.event(TaskSkipped, reason=str(error)))
            raise

    def _match(self) -> None:
        """Find the record of this call, or a key of its own when it is new."""
        session = self.session
        replay = session.replay
        assert replay is not None
        try:
            self.record = replay.match(self.place, self.policy.name, self.digest)
        except NonDeterministicFlowError as error:
            session.left_history(error)
            raise
        if self.record is not None:
            if self.record.key != self.place.key:
                self.place = self.place._replace(key=self.record.key, ordinal=self.record.ordinal)
            self.id = self.record.id
        elif self.place.key in replay.keys:  # another branch's: this one is new work
            self.place = self.frame.scope.take(self.policy.name, replay.keys)
            self.id = ids.task_run_id(session.run.run_id, self.place.key)

    def _recorded(self, stored: StoredValue) -> Steps[Any]:
        kind = self.returns
        load = self.session.journal.load
        if stored.ref is None:
            return results.decode_result(stored, kind, load)
        return (yield Blocking(lambda: results.decode_result(stored, kind, load)))

    def _replayed(self, record: TaskLife, value: Any) -> Steps[None]:
        return ending.replayed(self, record, value)

    def _ended(self, value: Any) -> Steps[None]:
        return ending.ended(self, value)

    def _undone(self) -> Steps[None]:
        return ending.undone(self)

    def _resume(self, record: TaskLife) -> Steps[None]:
        """Go on where an open task stood: the same attempt again, or the next one when it is due."""
        self.attempt = record.attempt
        if record.state is TaskState.RETRYING:
            self.attempt += 1
            if record.next_at is not None:
                yield Sleep(self.session, (record.next_at - utc_now()).total_seconds(), self)

    def _attempts(self) -> Steps[Any]:
        session, policy = self.session, self.policy
        while True:
            self.frame.check()
            self._begin()
            for hook in policy.hooks.running:
                yield CallHook(session, hook, (self.what, self, Running()))
            self.state = None
            body = Body(self)
            begin = time.perf_counter()
            try:
                value = yield body
                body.check_time()
                if isinstance(value, State) and not self.is_flow:
                    self.state = value
                    raise_state_exception(value)
                    value = value.data
            except Exception as error:
                duration_ms = int((time.perf_counter() - begin) * 1000)
                if isinstance(error, NonDeterministicFlowError):
                    raise
                if not retrying.is_tried_again(self, error):
                    yield from self._failed(error, duration_ms)
                    raise
                yield from retrying.until_next(self, error)
                self.attempt += 1
                continue
            yield from self._completed(value, int((time.perf_counter() - begin) * 1000))
            return value

    def _begin(self) -> None:
        session = self.session
        session.emit(self.event(TaskStarted, client_id=session.run.client_id or None, run_name=self.run_name))

    def _completed(self, value: Any, duration_ms: int) -> Steps[None]:
        stored = None
        if self.policy.persist and (self.session.has_flow or self.cache_key is not None):
            stored = yield from keep(self.session, self.policy.name, value, self.policy.serializer)
        self.stored = stored
        more: dict[str, Any] = {}
        if self.state is not None:
            more = {"state_name": self.state.name, "state_message": self.state.message}
        yield Commit(self.session, self.event(TaskCompleted, duration_ms=duration_ms, result=stored, **more))
        for hook in self.policy.hooks.completion:
            yield CallHook(self.session, hook, (self.what, self, self.state or Completed(data=value)))

    def _failed(self, error: Exception, duration_ms: int) -> Steps[None]:
        session = self.session
        tried = f" after {self.attempt} attempts" if self.attempt > 1 else ""
        session.say(_ERROR, f"task {self.place.key!r} failed{tried}", call=self, error=error)
        info = failures.describe(error, with_variables=session.shows_variables)
        yield Commit(session, self.event(TaskFailed, duration_ms=duration_ms, error=info))
        for hook in self.policy.hooks.failure:
            yield CallHook(session, hook, (self.what, self, self.state_by(error)))

    # -- what others see of it

    @property
    def name(self) -> str:
        return self._run_name or self.policy.name

    @property
    def flow_run_id(self) -> str | None:
        """None outside of a flow."""
        return self.session.run.run_id if self.session.has_flow else None

    @property
    def parameters(self) -> dict[str, Any]:
        """The arguments by name."""
        from perfect_sdk.caching.cached_call import named

        return named(self.fn, self.args, self.kwargs)

    @property
    def run_name(self) -> str | None:
        """What people call it; made when it begins, and recorded."""
        if self._run_name is None and self.policy.run_name is not None:
            from perfect_sdk.calling.naming import task_run_name

            self._run_name = self.place.key  # for whoever asks while it is made
            self._run_name = task_run_name(self)
        return self._run_name

    def state_of(self, value: Any) -> State[Any]:
        """Of a call that has ended with `value`."""
        return self.state or Completed(data=value)

    def state_by(self, error: BaseException) -> State[Any]:
        """Of a call that failed with `error`."""
        state = self.state
        if state is not None and not state.is_completed():
            return state if state.data is not None else state.with_data(error)
        return failed_by(error)

    @property
    def is_remote(self) -> bool:
        """Whether another worker runs it."""
        return self.policy.queue is not None and self.session.journal.dispatcher is not None

    @property
    def returns(self) -> Any:
        """What a recorded result is decoded as."""
        return returns_of(self.fn)

    @property
    def run_count(self) -> int:
        return self.attempt

    def event(self, kind: type[Any], **fields: Any) -> Any:
        session = self.session
        if self.tags and kind in BEGINS:
            fields["tags"] = self.tags
        if self.after and kind in BEGINS:
            fields["after"] = [*self.after]
        _, key, ordinal = self.place
        return kind(
            id=ids.uuid7(),
            at=utc_now(),
            source=session.run.source,
            run_id=session.run.run_id,
            task_run_id=self.id,
            task_key=key,
            epoch=session.epoch,
            attempt=self.attempt,
            flow_version=session.run.flow_version,
            task_id=self.task_id,
            name=self.policy.name,
            ordinal=ordinal,
            input_digest=self.digest,
            **fields,
        )
