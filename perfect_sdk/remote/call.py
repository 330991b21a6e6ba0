"""The rules of a distributed task in the run that calls it.

It is queued (guarded on the run: a run that was taken over sends nothing), then handed over, then waited for. A resumed
run waits for the dispatch that is under way instead of sending another. When the worker that has it is lost, the task
is queued again under another dispatch, and handed over once the stream shows that this is the one that counts.
"""

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas import ids
from perfect_schemas.commands import TaskHandOver
from perfect_schemas.envelope import ErrorInfo, StoredValue, utc_now
from perfect_schemas.events import TaskFailed, TaskQueued
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import FINAL_TASK_STATES, TaskState
from perfect_sdk.context import tags_around
from perfect_sdk.encoding import failures
from perfect_sdk.exceptions import LostTask, NotSupported
from perfect_sdk.remote.arguments import pack
from perfect_sdk.remote.dispatcher import Dispatcher, Waiter
from perfect_sdk.remote.patience import next_news
from perfect_sdk.running.effects import Commit, Steps

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.running.session import RunSession

MAX_LOSSES = 3
_WARNING, _ERROR = 30, 40


def dispatched(call: "Call") -> Steps[Any]:
    """What `Call.steps` does instead of calling the function."""
    session, policy = call.session, call.policy
    dispatcher = session.journal.dispatcher
    assert dispatcher is not None
    function = function_of(call)
    arguments = yield from pack(
        session.journal, session.run.run_id, policy.name, call.args, call.kwargs, policy.serializer
    )
    sending = _Sending(call, dispatcher, function, arguments)
    waiter = dispatcher.watch(call.place.key, session.epoch, _open_lives(session), session.lost)
    try:
        life = yield from sending.until_final(waiter)
    finally:
        dispatcher.forget(waiter)
        waiter.news.cancel()
    session.learned(life)
    call.seq = life.last_seq
    if life.state is TaskState.FAILED and life.error is not None:
        raise restored(life.error)
    if life.result is None:
        raise LostTask(f"task {call.place.key!r} ended as {life.state.value} without a result")
    value = yield from call._recorded(life.result)
    session.sources.learn(call.place.key, value, life.result)
    return value


class _Sending:
    """One call's dispatches, one after the other as long as their workers are lost."""

    def __init__(self, call: "Call", dispatcher: Dispatcher, function: str, arguments: StoredValue) -> None:
        self.call = call
        self.dispatcher = dispatcher
        self.function = function
        self.arguments = arguments

    def until_final(self, waiter: Waiter) -> Steps[TaskLife]:
        call = self.call
        record = call.record
        if record is not None and record.state not in FINAL_TASK_STATES and record.dispatch_id is not None:
            call.attempt = record.attempt
            if record.client_id is None:  # whether its hand-over got onto the bus is not known
                self._hand_over(record.dispatch_id, record, replay=record.losses > 0)
        else:
            call.attempt = 1
            dispatch_id = ids.uuid7()
            yield Commit(call.session, self._queued(dispatch_id))
            self._hand_over(dispatch_id, None, replay=record is not None)
        while True:
            news = yield from next_news(call, self.dispatcher, waiter)
            if news.is_final:
                return news.life
            if news.is_lost:
                yield from self._again(news.life, waiter)
            else:  # what was queued anew is what counts now
                dispatch_id = news.life.dispatch_id or ""
                waiter.again()
                self._hand_over(dispatch_id, news.life, replay=True)

    def _again(self, life: TaskLife, waiter: Waiter) -> Steps[None]:
        call = self.call
        losses = life.losses + 1
        what = f"task {call.place.key!r}: the worker that ran it is gone"
        if losses > MAX_LOSSES:
            error = LostTask(f"{what}, the {losses}th one in a row")
            call.session.say(_ERROR, str(error), call=call)
            waiter.again()
            info = failures.describe(error)
            yield Commit(call.session, call.event(TaskFailed, duration_ms=0, error=info))
            raise error
        call.session.say(_WARNING, f"{what}; it is handed over again", call=call)
        if life.state is TaskState.RETRYING:
            call.attempt = life.attempt + 1
        else:
            call.attempt = life.attempt
        dispatch_id = ids.uuid7()
        waiter.again(wants=dispatch_id)
        self.dispatcher.look(waiter)  # it may have ended since
        queued = self._queued(dispatch_id, replaces=life.dispatch_id, client_id=life.client_id, losses=losses)
        yield Commit(call.session, queued)

    def _queued(self, dispatch_id: str, **more: Any) -> TaskQueued:
        return self.call.event(TaskQueued, queue=self.call.policy.queue, dispatch_id=dispatch_id, **more)

    def _hand_over(self, dispatch_id: str, life: TaskLife | None, *, replay: bool) -> None:
        call, run, policy = self.call, self.call.session.run, self.call.policy
        outermost = call.session
        while outermost.caller is not None:
            outermost = outermost.caller.session
        hand_over = TaskHandOver(
            dispatch_id=dispatch_id,
            queue=policy.queue or "",
            run_id=run.run_id,
            flow_id=run.flow_id,
            flow_name=run.flow_name,
            served_flow_id=outermost.run.flow_id,
            task_run_id=call.id,
            task_key=call.place.key,
            task_id=call.task_id,
            name=policy.name,
            function=self.function,
            epoch=call.session.epoch,
            configuration=run.configuration,
            queued_at=utc_now(),
            arguments=self.arguments,
            ordinal=call.place.ordinal,
            input_digest=call.digest,
            attempt=call.attempt,
            next_at=life.next_at if life is not None else None,
            replay=replay,
            flow_version=run.flow_version,
            run_name=run.name,
            tags=run.tags,
            parameters=run.parameters,
            parent_run_id=run.parent_run_id,
            parent_task_key=run.parent_task_key,
            created_at=run.created_at,
            retries=policy.retries,
            delays=list(policy.delays),
            jitter=policy.jitter,
            timeout_seconds=policy.timeout_seconds,
            serializer=policy.serializer,
            prints=call.frame.prints if policy.prints is None else policy.prints,
            tags_around=tags_around(),
        )
        self.dispatcher.hand_over(hand_over, lambda: self._unserved(hand_over))

    def _unserved(self, hand_over: TaskHandOver) -> None:
        session = self.call.session
        if session.warn_once(("queue", hand_over.queue)):
            session.say(
                _WARNING,
                f"task {hand_over.task_key!r} waits: no worker serves flow {hand_over.flow_name!r} on queue "
                f"{hand_over.queue!r}; start one with `perfect worker FILE --queue {hand_over.queue}`",
                call=self.call,
            )


def restored(info: ErrorInfo) -> BaseException:
    """What the task raised, with the traceback that it had there."""
    error = failures.restore(msgspec.structs.replace(info, traceback=""))
    if info.traceback:
        error.add_note(f"Raised on the worker that ran the task:\n{info.traceback}")
    return error


def function_of(call: "Call") -> str:
    """How another worker finds the function. Raises NotSupported for one that has no name of its own there."""
    fn = inspect.unwrap(call.fn)
    if inspect.ismethod(fn):
        raise NotSupported(
            f"task {call.policy.name!r} is a method and has a queue: its object cannot be sent to another worker; "
            "make it a function that gets what it needs as arguments"
        )
    return f"{getattr(fn, '__module__', '')}:{getattr(fn, '__qualname__', type(fn).__name__)}"


def _open_lives(session: "RunSession") -> Iterable[TaskLife]:
    """The dispatches that were under way when this execution began."""
    if session.replay is None:
        return ()
    return [
        life
        for life in session.replay.keys.values()
        if life.dispatch_id is not None and life.state not in FINAL_TASK_STATES
    ]
