"""One call of a task: replayed, run, retried, recorded.

`Call.steps` holds the rules; `effects` carries out what it yields. The order is the promise: a call returns only after
its `task.completed` is stored, so whatever the flow does next builds on what a resume will find.
"""

import functools
import hashlib
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from perfect_schemas import ids
from perfect_schemas.envelope import StoredValue, utc_now
from perfect_schemas.events import TaskCompleted, TaskFailed, TaskRetrying, TaskSkipped, TaskStarted
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import FINAL_TASK_STATES, KEPT_TASK_STATES, TaskState
from perfect_sdk import failures, results
from perfect_sdk.annotations import Annotation
from perfect_sdk.context import Frame, current, entered
from perfect_sdk.effects import Blocking, CallHook, Commit, Sleep, Steps, WaitFor
from perfect_sdk.exceptions import NonDeterministicFlowError, TaskTimeoutError, UpstreamTaskError
from perfect_sdk.floor import inside
from perfect_sdk.keys import Scope
from perfect_sdk.policy import Policy
from perfect_sdk.states import Completed, Failed, Running, State, raise_state_exception
from perfect_sdk.values import encode_ordered

if TYPE_CHECKING:
    from perfect_sdk.session import RunSession

_WARNING, _ERROR = 30, 40


class Call:
    """A call of a task within a run. Its key is taken here, when the call is made.

    what: the Task, as hooks get it. id: of the task run, the same on every execution. seq: of the recorded end, when
    it is replayed. is_submitted: its caller goes on beside it. args, kwargs: futures among them are replaced by their results before anything else happens.
    """

    __slots__ = (
        "args",
        "attempt",
        "digest",
        "fn",
        "frame",
        "id",
        "is_submitted",
        "kwargs",
        "place",
        "policy",
        "record",
        "seq",
        "session",
        "task_id",
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
        self.attempt = 1
        self.digest: str | None = None
        self.record: TaskLife | None = None
        self.seq: int | None = None
        self.is_submitted = False

    is_flow = False  # a child flow's call

    # -- the rules

    def steps(self) -> Steps[Any]:
        session = self.session
        self.frame.check()
        if session.has_futures or Annotation.made:
            yield from self._inputs()
        self.digest = digest_of(self.args, self.kwargs)
        if session.replay is not None:
            self._match()
            record = self.record
            if record is not None and record.state in FINAL_TASK_STATES:
                self.seq = record.last_seq
                if record.state in KEPT_TASK_STATES and record.result is not None:
                    return (yield from self._recorded(record.result))
                if record.state is TaskState.FAILED and record.error and record.epoch > session.retry_epoch:
                    raise failures.restore(record.error)
                self.seq = None
        if session.is_pausing:
            from perfect_sdk.holding import before

            yield from before(self)
        session.floor.opened(self)
        try:
            if self.is_remote:
                from perfect_sdk.remote.call import dispatched

                return (yield from dispatched(self))
            if self.record is not None and self.record.state not in FINAL_TASK_STATES:
                yield from self._resume(self.record)
            return (yield from self._attempts())
        finally:
            session.floor.closed(self)

    def _inputs(self) -> Steps[None]:
        """Wait for the futures among the inputs and put their results in their places."""
        from perfect_sdk import inputs
        from perfect_sdk.futures import PerfectFuture

        found = inputs.find((self.args, self.kwargs, self.wait_for))
        if not found:
            return  # the arguments stay the very objects that they are
        futures = [each for each in found if isinstance(each, PerfectFuture)]
        with self.session.floor.awaiting(inside(self), [each._job.future for each in futures]):
            yield WaitFor(futures)
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

    def _resume(self, record: TaskLife) -> Steps[None]:
        """Go on where an open task stood: the same attempt again, or the next one when it is due."""
        self.attempt = record.attempt
        if record.state is TaskState.RETRYING:
            self.attempt += 1
            if record.next_at is not None:
                yield Sleep(self.session, (record.next_at - utc_now()).total_seconds())

    def _attempts(self) -> Steps[Any]:
        session, policy = self.session, self.policy
        while True:
            self.frame.check()
            self._begin()
            for hook in policy.hooks.running:
                yield CallHook(session, hook, (self.what, self, Running()))
            body = Body(self)
            begin = time.perf_counter()
            try:
                value = yield body
                body.check_time()
                if isinstance(value, State):
                    raise_state_exception(value)
                    value = value.data
            except Exception as error:
                duration_ms = int((time.perf_counter() - begin) * 1000)
                if isinstance(error, NonDeterministicFlowError):
                    raise
                if not self._again(error):
                    yield from self._failed(error, duration_ms)
                    raise
                yield from self._retry(error)
                self.attempt += 1
                continue
            yield from self._completed(value, int((time.perf_counter() - begin) * 1000))
            return value

    def _begin(self) -> None:
        session = self.session
        session.emit(self.event(TaskStarted, client_id=session.run.client_id or None))

    def _completed(self, value: Any, duration_ms: int) -> Steps[None]:
        stored = None
        if self.policy.persist:
            stored = yield from keep(self.session, self.policy.name, value, self.policy.serializer)
        yield Commit(self.session, self.event(TaskCompleted, duration_ms=duration_ms, result=stored))
        for hook in self.policy.hooks.completion:
            yield CallHook(self.session, hook, (self.what, self, Completed(data=value)))

    def _failed(self, error: Exception, duration_ms: int) -> Steps[None]:
        session = self.session
        tried = f" after {self.attempt} attempts" if self.attempt > 1 else ""
        session.say(_ERROR, f"task {self.place.key!r} failed{tried}", call=self, error=error)
        info = failures.describe(error, with_variables=session.shows_variables)
        yield Commit(session, self.event(TaskFailed, duration_ms=duration_ms, error=info))
        for hook in self.policy.hooks.failure:
            yield CallHook(session, hook, (self.what, self, Failed(message=str(error), data=error)))

    def _again(self, error: Exception) -> bool:
        policy = self.policy
        if self.attempt > policy.retries:
            return False
        if policy.retry_condition is None:
            return True
        try:
            return bool(policy.retry_condition(self.what, self, Failed(message=str(error), data=error)))
        except Exception as broken:
            self.session.say(
                _ERROR, f"retry_condition_fn of task {self.place.key!r} failed", call=self, error=broken
            )
            return False

    def _retry(self, error: Exception) -> Steps[None]:
        session = self.session
        delay = self.policy.delay_before(self.attempt)
        next_at = utc_now() + timedelta(seconds=delay)
        session.say(
            _WARNING,
            f"task {self.place.key!r} failed (attempt {self.attempt} of {self.policy.retries + 1}): "
            f"{type(error).__name__}: {error}; next attempt {f'in {delay:g} s' if delay else 'now'}",
            call=self,
        )
        info = failures.describe(error, with_variables=session.shows_variables)
        yield Commit(session, self.event(TaskRetrying, next_at=next_at, error=info))
        yield Sleep(session, delay)

    # -- what others see of it

    @property
    def name(self) -> str:
        return self.policy.name

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


class Body:
    """Effect: call the task's function, in a frame of its own."""

    __slots__ = ("call", "deadline", "frame")

    def __init__(self, call: Call) -> None:
        policy, caller = call.policy, call.frame
        seconds = policy.timeout_seconds
        self.call = call
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.frame = Frame(
            call.session,
            Scope(call.place.key),
            call,
            parent=caller,
            deadline=self.deadline,
            prints=caller.prints if policy.prints is None else policy.prints and call.session.captures_prints,
        )

    def run(self) -> Any:
        call = self.call
        token = current.set(self.frame)
        try:
            return call.fn(*call.args, **call.kwargs)
        finally:
            current.reset(token)

    async def run_async(self) -> Any:
        call = self.call
        with entered(self.frame):
            made = call.fn(*call.args, **call.kwargs)
            if not hasattr(made, "__await__"):
                return made
            if self.deadline is None:
                return await made
            import asyncio

            limit = asyncio.timeout(call.policy.timeout_seconds)
            try:
                async with limit:
                    return await made
            except TimeoutError:
                if limit.expired():
                    raise self._timed_out() from None
                raise

    def check_time(self) -> None:
        """A sync function cannot be interrupted: that it took too long is seen when it is done."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise self._timed_out()

    def _timed_out(self) -> TaskTimeoutError:
        return TaskTimeoutError(
            f"task {self.call.place.key!r} took longer than its {self.call.policy.timeout_seconds:g} s"
        )


def keep(
    session: "RunSession", name: str, value: Any, serializer: results.Serializer
) -> Steps[StoredValue | None]:
    """The result as an event keeps it. None, with one warning, when it cannot be kept."""
    if value is None:
        return results.NOTHING
    try:
        data = results.encode_result(value, serializer)
    except results.NotStorable as error:
        if session.warn_once(("result", name)):
            session.say(
                _WARNING,
                f"the result of {name!r} cannot be stored as {serializer} ({error}); it is not kept, and a resumed run "
                'works it out again. Return builtins, dataclasses or Structs, or use result_serializer="pickle"',
            )
        return None
    if not results.is_large(data):
        return results.inline(data, serializer)
    ref = yield Blocking(lambda: session.journal.store(f"{session.run.run_id}/{ids.uuid7()}", data))
    return results.by_reference(ref, data, serializer)


def digest_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Hex SHA-256 of the inputs as JSON; None when they have no JSON form that is always the same."""
    if not args and not kwargs:
        return _NO_INPUTS
    try:
        return hashlib.sha256(encode_ordered((args, kwargs))).hexdigest()
    except Exception:
        return None


_NO_INPUTS = hashlib.sha256(b"[[],{}]").hexdigest()


@functools.lru_cache(4096)
def returns_of(fn: Callable[..., Any]) -> Any:
    """The return annotation, Any when there is none (or one that cannot be resolved)."""
    from perfect_sdk.parameters import type_hints

    return type_hints(fn).get("return", Any)
