"""The rules of one execution of a flow: its tries, and the event that ends the run.

A flow's own `retries`: the next try is the run's next epoch, in which what completed before is replayed and what failed
runs again. A run that an engine looks after is given back with `run.retrying`, and handed out again when it is due;
others (plain calls, child runs, tests) wait here and start their next epoch themselves.
"""

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from perfect_schemas.envelope import utc_now
from perfect_schemas.events import RunCancelled, RunCancelling, RunCompleted, RunFailed, RunRetrying
from perfect_sdk.encoding import failures
from perfect_sdk.exceptions import UnfinishedRun
from perfect_sdk.recording.journal import RunCancelledError, RunSupersededError
from perfect_sdk.running.effects import CallHook, Commit, Sleep, Steps, WaitFor
from perfect_sdk.running.flow_body import FlowBody
from perfect_sdk.running.replay import Replay
from perfect_sdk.running.returned import Returned, judge
from perfect_sdk.runs import Outcome
from perfect_sdk.states import Running, raise_state_exception

if TYPE_CHECKING:
    from perfect_sdk.running.session import RunSession

_SUSPENDED = Outcome(state="suspended")
_NOTHING = Returned(None)


class Tries:
    """values: the parameters as Python values, when the caller has them already. before: tries in earlier epochs."""

    __slots__ = ("_before", "_begin", "_is_scheduled", "_returned", "_session", "_values")

    def __init__(self, session: "RunSession", values: dict[str, Any] | None, before: int) -> None:
        self._session = session
        self._values = values
        self._before = before
        self._begin = 0.0
        self._returned = _NOTHING
        self._is_scheduled = False  # between two tries of a child run

    def steps(self) -> Steps[Outcome]:
        session = self._session
        self._begin = time.perf_counter()
        try:
            try:
                outcome = yield from self._tries()
            except (Exception, GeneratorExit, RunSupersededError):
                raise
            except BaseException as error:
                outcome = yield from self._ended_by(error)
            finally:
                session.close_pool()
        except RunSupersededError:
            reason = session.stop.reason
            outcome = Outcome(state="superseded" if reason is None else "crashed", error=reason)
        yield from self._end_hooks(outcome)
        return outcome

    def _tries(self) -> Steps[Outcome]:
        session = self._session
        flow, policy = session.flow, session.flow.policy
        try:
            values = flow.convert_parameters(session.run.parameters) if self._values is None else self._values
            session.values = values
            args, kwargs = flow.signature.arguments(values)
        except Exception as error:
            return (yield from self._failed(error))
        if flow.flow_run_name is not None:
            from perfect_sdk.calling.naming import name_run

            yield from name_run(session, values)
        for hook in policy.hooks.running:
            state = Running()
            yield CallHook(session, hook, (flow, session.flow_run(state), state))
        tries = self._before
        while True:
            tries += 1
            self._returned = _NOTHING
            try:
                value = yield FlowBody(session, args, kwargs)
                yield WaitFor(session.open_calls())
                if session.is_suspended:  # the flow held FlowSuspended up
                    return _SUSPENDED
                session.check_history()
                self._returned = judge(value)
                value = self._value_of(self._returned)
            except Exception as error:
                if session.is_suspended:
                    return _SUSPENDED
                yield WaitFor(session.open_calls(drop_waiting=True))
                if tries > policy.retries or session.left is not None:
                    return (yield from self._failed(session.left or error))
                if session.run.engine_retries:
                    return (yield from self._given_back(error, tries))
                yield from self._next_try(error, tries)
            else:
                return (yield from self._completed(value))

    def _value_of(self, returned: Returned) -> Any:
        """A flow that returns a state sets it."""
        stop, state = self._session.stop, returned.state
        if state is not None:
            if not state.is_final():
                self._returned = _NOTHING
                raise UnfinishedRun(f"the flow returned a state that is not final: {state!r}")
            if state.is_cancelled():
                stop.cancel(self._session.run.source)
                stop.raise_()
            raise_state_exception(state)
        return returned.value

    def _outcome(self, state: Any, **fields: Any) -> Outcome:
        """With what the flow returned, if that has decided of it."""
        value, decided, is_several = self._returned
        if is_several:
            fields["value"] = value
        return Outcome(state=state, returned=decided, is_several=is_several, **fields)

    # -- another try

    def _given_back(self, error: Exception, tries: int) -> Steps[Outcome]:
        """The engine hands the run out again when the next try is due."""
        session = self._session
        yield Commit(session, self._retrying(error, tries, self._say_retry(error, tries)))
        return Outcome(state="retrying", error=error)

    def _retrying(self, error: Exception, tries: int, delay: float) -> RunRetrying:
        session = self._session
        due_at = utc_now() + timedelta(seconds=delay)
        info = failures.describe(error, with_variables=session.shows_variables)
        return session.event(RunRetrying, tries=tries, due_at=due_at, error=info)

    def _say_retry(self, error: Exception, tries: int) -> float:
        session, policy = self._session, self._session.flow.policy
        delay = policy.delay_before(tries)
        session.say(
            30,
            f"flow {session.run.flow_name!r} failed (try {tries} of {policy.retries + 1}); "
            f"next try {f'in {delay:g} s' if delay else 'now'}",
            error=error,
        )
        return delay

    def _next_try(self, error: Exception, tries: int) -> Steps[None]:
        session = self._session
        delay = self._say_retry(error, tries)
        if session.caller is not None:  # a child run may be cut off, or suspended, before it has ended
            yield Commit(session, self._retrying(error, tries, delay))
            self._is_scheduled = True
        yield Sleep(session, delay)
        session.retry_epoch = session.epoch
        yield from session.next_epoch()
        self._is_scheduled = False
        assert session.memory is not None
        session.replay = Replay(session.memory.recorded())

    # -- the end

    def _completed(self, value: Any) -> Steps[Outcome]:
        from perfect_sdk.calling.task_result import keep

        session, policy = self._session, self._session.flow.policy
        stored = (yield from keep(session, policy.name, value, policy.serializer)) if policy.persist else None
        yield Commit(session, session.event(RunCompleted, duration_ms=self._duration_ms(), result=stored))
        return self._outcome("completed", value=value, stored=stored)

    def _failed(self, error: BaseException) -> Steps[Outcome]:
        session = self._session
        session.say(40, f"flow {session.run.flow_name!r} failed", error=error)
        info = failures.describe(error, with_variables=session.shows_variables)
        yield Commit(session, session.event(RunFailed, duration_ms=self._duration_ms(), error=info))
        return self._outcome("failed", error=error)

    def _ended_by(self, error: BaseException) -> Steps[Outcome]:
        """The flow's code was left by what is no Exception: a cancellation, an interrupt, `sys.exit()`."""
        stop = self._session.stop
        self._session.follow_caller()
        try:
            if self._session.is_suspended:
                return _SUSPENDED
            if stop.kind == "abandon":
                stop.raise_()
            if stop.kind is None and not isinstance(error, RunCancelledError):
                by = self._interrupted_by(error)
                if by is None:
                    return (yield from self._failed(error))
                stop.cancel(by)
            return (yield from self._cancelled(error))
        except RunCancelledError as late:  # the end was refused: somebody wants the run cancelled
            return (yield from self._cancelled(late))

    def _interrupted_by(self, error: BaseException) -> str | None:
        """Whose wish it was that the code end here; None when it is the code's own failure.

        Raises `error` again when the caller goes away and the run is to be left as it is.
        """
        session = self._session
        kind = type(error).__name__
        if kind == "CancelledError":
            if not session.is_cancelled_from_outside():
                return None
        elif kind != "KeyboardInterrupt":
            return None
        if session.caller is not None:
            return f"run {session.caller.session.run.run_id}"
        if not session.interruptible:
            raise error
        return "keyboard"

    def _cancelled(self, error: BaseException) -> Steps[Outcome]:
        """Write that the run was cancelled; first that it is being cancelled, unless the engine has written that."""
        session = self._session
        by = session.stop.by
        if by is not None and not self._is_scheduled:
            yield Commit(session, session.event(RunCancelling, by=by))
        yield Commit(session, session.event(RunCancelled, reason=f"cancelled by {by}" if by else ""))
        return self._outcome("cancelled", error=error)

    def _end_hooks(self, outcome: Outcome) -> Steps[None]:
        session = self._session
        hooks = session.flow.policy.hooks
        of_state = {
            "completed": hooks.completion,
            "failed": hooks.failure,
            "cancelled": hooks.cancellation,
            "crashed": hooks.crashed,
        }
        for hook in of_state.get("crashed" if outcome.is_crash else outcome.state, ()):
            state = outcome.as_state()
            yield CallHook(session, hook, (session.flow, session.flow_run(state), state))

    def claimed_again(self) -> None:
        """Its code rested and goes on: what it ran before is counted with the epoch that it ran in."""
        self._begin = time.perf_counter()

    def _duration_ms(self) -> int:
        return int((time.perf_counter() - self._begin) * 1000)
