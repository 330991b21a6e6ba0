"""A flow called inside a flow: a run of its own, inline in its parent's process.

The parent records the outcome like a task's, under the flow's name. The child has its own events on its own subject,
and its id follows from the parent's run and the place of the call: resumed with its parent, it goes on where it was.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas import ids
from perfect_schemas.envelope import utc_now
from perfect_schemas.events import RunResumed, RunRetried, RunScheduled, RunStarted
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import is_paused_from_outside
from perfect_schemas.states import RunState
from perfect_sdk import results
from perfect_sdk.calling.execution import Call, returns_of
from perfect_sdk.calling.policy import Policy
from perfect_sdk.context import Frame, current, tagged
from perfect_sdk.encoding import failures
from perfect_sdk.exceptions import CancelledRun, CrashedRun
from perfect_sdk.recording.journal import Journal, RunSupersededError
from perfect_sdk.running.effects import Sleep, Steps, drive, drive_async
from perfect_sdk.running.session import Outcome, RunContext, RunSession
from perfect_sdk.waiting.waits import suspend

if TYPE_CHECKING:
    from perfect_sdk.flow import Flow


def call_child(
    flow: "Flow[..., Any]",
    frame: Frame,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    wait_for: Any,
    *,
    return_state: bool,
) -> Any:
    """The child's result; for an async flow a coroutine. Its place in the parent is taken now."""
    child = Child(flow, frame)
    policy = Policy(name=flow.name, serializer=flow.policy.serializer, persist=flow.policy.persist)
    fn = child.run_async if flow.is_async else child.run
    call = child.call = ChildCall(frame, flow, policy, fn, args, kwargs, wait_for)
    if flow.is_async:
        return _outcome_async(call, child, return_state)
    if not return_state:
        return drive(call.steps())
    try:
        value = drive(call.steps())
    except Exception as error:
        return child.state_of(error)
    return call.state_of(value)


async def _outcome_async(call: Call, child: "Child", return_state: bool) -> Any:
    if not return_state:
        return await drive_async(call.steps())
    try:
        value = await drive_async(call.steps())
    except Exception as error:
        return child.state_of(error)
    return call.state_of(value)


class ChildCall(Call):
    __slots__ = ()
    is_flow = True

    @property
    def returns(self) -> Any:
        return returns_of(self.what.fn)


class Child:
    """The body of the call: runs the child's session and gives its result, or raises."""

    def __init__(self, flow: "Flow[..., Any]", frame: Frame) -> None:
        self.flow = flow
        self.frame = frame
        self.call: Call

    def run(self, *args: Any, **kwargs: Any) -> Any:
        while True:
            run, ended = self._execute(args, kwargs)
            if ended.state != "suspended":
                return self._result(ended)
            drive(self._waits(run))

    async def run_async(self, *args: Any, **kwargs: Any) -> Any:
        while True:
            run, ended = await self._execute_async(args, kwargs)
            if ended.state != "suspended":
                return self._result(ended)
            await drive_async(self._waits(run))

    def _execute(self, args: Any, kwargs: Any) -> tuple[RunContext, Outcome]:
        run, journal, values = self._prepare(args, kwargs)
        history = journal.history() if self._may_exist() else None
        ended = self._ended(history, journal)
        if ended is None:
            run, journal, history = self._afresh(run, journal, history)
            self._until_due(history).run()
            run, events = self._opening(run, history)
            for event in events:
                journal.commit(event)
                _apply(history, event)
            session = self._session(run, journal, history, values)
            ended = session.execute_sync()
        return run, ended

    async def _execute_async(self, args: Any, kwargs: Any) -> tuple[RunContext, Outcome]:
        import asyncio

        run, journal, values = self._prepare(args, kwargs)
        history = await asyncio.to_thread(journal.history) if self._may_exist() else None
        ended = self._ended(history, journal)
        if ended is None:
            run, journal, history = self._afresh(run, journal, history)
            await self._until_due(history).run_async()
            run, events = self._opening(run, history)
            for event in events:
                await journal.commit_async(event)
                _apply(history, event)
            session = self._session(run, journal, history, values)
            ended = await session.execute_async()
        return run, ended

    # -- the child run

    def _prepare(self, args: Any, kwargs: Any) -> tuple[RunContext, Journal, dict[str, Any]]:
        flow, parent, key = self.flow, self.frame.session, self.call.place.key
        values = flow.signature.bind(args, kwargs)
        if flow.should_validate_parameters:
            values = flow.signature.convert(values)
        of = parent.run
        run = RunContext(
            run_id=self._id,
            flow_id=flow.id,
            flow_name=flow.name,
            flow_version=flow.definition.flow_version,
            configuration=of.configuration,
            parameters=flow.signature.json(values),
            tags=tagged(flow.tags),
            name=flow.run_name(values),
            client_id=of.client_id,
            client_name=of.client_name,
            source=of.source,
            suspends=of.suspends,
            parent_run_id=of.run_id,
            parent_task_key=key,
            created_at=utc_now(),
        )
        return run, parent.journal.child(run), values

    def _may_exist(self) -> bool:
        session = self.frame.session
        return (
            session.epoch > 1 or session.replay is not None
        )  # the latter also for a task that another worker runs

    def _ended(self, history: History | None, journal: Journal) -> Outcome | None:
        """The outcome of a child that ended before its parent could record it; None when there is work to do."""
        life = history.run if history is not None else None
        if life is None:
            return None
        is_waiting = life.state is RunState.PAUSED and not is_paused_from_outside(
            life
        )  # else it goes on with this run
        if is_waiting and self.frame.session.run.suspends:
            return Outcome(state="suspended")  # it is not resumed yet
        if life.state is RunState.COMPLETED:
            if life.result is None:
                return None
            value = results.decode_result(life.result, returns_of(self.flow.fn), journal.load)
            return Outcome(state="completed", value=value)
        record = self.call.record
        if record is not None and record.epoch <= self.frame.session.retry_epoch:
            return None  # the parent is tried again, and so is its child
        if life.state is RunState.FAILED and life.error is not None:
            return Outcome(state="failed", error=failures.restore(life.error))
        if life.state is RunState.CANCELLED:
            return Outcome(state="cancelled")
        if life.state is RunState.CRASHED:
            return Outcome(state="failed", error=CrashedRun(f"child run {life.id} crashed: {life.reason}"))
        return None

    def _afresh(
        self, run: RunContext, journal: Journal, history: History | None
    ) -> tuple[RunContext, Journal, History | None]:
        """A child that completed with a result that could not be kept is run again, as another run."""
        if history is None or history.run is None or history.run.state is not RunState.COMPLETED:
            return run, journal, history
        parent = self.frame.session
        again = ids.child_run_id(parent.run.run_id, f"{self.call.place.key}\x1f{parent.epoch}")
        run = msgspec.structs.replace(run, run_id=again)
        return run, parent.journal.child(run), None

    def _until_due(self, history: History | None) -> Sleep:
        """It was cut off between two of its tries: the next one is not due before its time."""
        life = history.run if history is not None else None
        due_at = life.due_at if life is not None and life.state is RunState.SCHEDULED else None
        return Sleep(self.frame.session, (due_at - utc_now()).total_seconds() if due_at is not None else 0)

    def _opening(self, run: RunContext, history: History | None) -> tuple[RunContext, list[Any]]:
        """The events that begin this execution of the child, and the run as it is then."""
        common: dict[str, Any] = {
            "source": run.source,
            "run_id": run.run_id,
            "flow_version": run.flow_version,
            "cause": self.call.id,
        }
        life = history.run if history is not None else None
        events: list[Any] = []
        if life is None:
            scheduled = RunScheduled(
                id=ids.uuid7(),
                at=utc_now(),
                flow_id=run.flow_id,
                flow_name=run.flow_name,
                configuration=run.configuration,
                parameters=run.parameters,
                tags=run.tags,
                origin="child",
                name=run.name,
                parent_run_id=run.parent_run_id,
                parent_task_key=run.parent_task_key,
                **common,
            )
            events.append(scheduled)
        else:
            run = msgspec.structs.replace(run, epoch=life.epoch + 1)
            if life.state is RunState.PAUSED:
                events.append(RunResumed(id=ids.uuid7(), at=utc_now(), **common))
            if life.state.is_final:
                by = f"run {run.parent_run_id}"
                events.append(RunRetried(id=ids.uuid7(), at=utc_now(), by=by, **common))
        events.append(
            RunStarted(
                id=ids.uuid7(),
                at=utc_now(),
                epoch=run.epoch,
                client_id=run.client_id,
                client_name=run.client_name,
                **common,
            )
        )
        return run, events

    def _session(
        self, run: RunContext, journal: Journal, history: History | None, values: dict[str, Any]
    ) -> RunSession:
        return RunSession(run, self.flow, journal, history, values=values, caller=current.get())

    def _waits(self, run: RunContext) -> Steps[None]:
        """A child that waits suspends its parent, which the engine resumes as soon as the child may go on."""
        frame = current.get()
        assert frame is not None
        frame.check()
        yield from suspend(frame, run.run_id, "child")

    # -- its outcome

    def _result(self, outcome: Outcome) -> Any:
        parent = self.frame.session
        self.call.state = outcome.returned
        if outcome.state == "completed" or (outcome.is_several and parent.stop.kind is None):
            return outcome.value
        if outcome.state == "failed":
            assert outcome.error is not None
            raise outcome.error
        if outcome.state == "cancelled":
            if parent.stop.kind is not None:
                parent.stop.raise_()
            if outcome.error is not None and type(outcome.error).__name__ == "CancelledError":
                raise outcome.error  # the parent's own code gave it up (a timeout, a sibling's failure)
            raise CancelledRun(f"child run {self._id} of flow {self.flow.name!r} was cancelled")
        parent.stop.abandon(outcome.error)
        raise RunSupersededError(f"child run {self._id} is somebody else's now")

    @property
    def _id(self) -> str:
        """Another one when the parent is tried again from here or before: what the first did does not count."""
        parent, key = self.frame.session, self.call.place.key
        again = parent.reruns.get(key)
        return ids.child_run_id(parent.run.run_id, key if again is None else f"{key}\x1f{again}")

    def state_of(self, error: Exception) -> Any:
        kind = "cancelled" if isinstance(error, CancelledRun) else "failed"
        return Outcome(state=kind, error=error).as_state()


def _apply(history: History | None, event: Any) -> None:
    if history is not None:
        history.apply(event, history.seq + 1)
