"""The body of a distributed task, on the worker that took it: retries, time limits and log lines as anywhere else."""

from typing import TYPE_CHECKING, Any, Literal

from perfect_schemas.commands import TaskHandOver
from perfect_schemas.envelope import utc_now
from perfect_schemas.events import TaskStarted
from perfect_schemas.folds.history import History
from perfect_sdk import results
from perfect_sdk.calling.execution import Call
from perfect_sdk.calling.keys import Place, Scope, scope_of
from perfect_sdk.calling.policy import Policy
from perfect_sdk.context import Frame, branching, tagged, tags
from perfect_sdk.exceptions import UnsendableResult
from perfect_sdk.recording import logs
from perfect_sdk.recording.journal import RunCancelledError, RunSupersededError
from perfect_sdk.remote.journal import RemoteJournal
from perfect_sdk.running.effects import Sleep, Steps, WaitFor, drive, drive_async
from perfect_sdk.running.replay import Replay
from perfect_sdk.running.session import RunSession
from perfect_sdk.runs import RunContext

if TYPE_CHECKING:
    from perfect_sdk.flow import Flow
    from perfect_sdk.task import Task

Ending = Literal["ended", "stopped", "error"]


class RemoteCall(Call):
    """is_claimed: its first `task.started` is said already, by the claim."""

    __slots__ = ("is_claimed",)

    def __init__(
        self,
        session: RunSession,
        task: "Task[..., Any]",
        policy: Policy,
        hand_over: TaskHandOver,
        arguments: tuple[list[Any], dict[str, Any]],
        *,
        is_claimed: bool,
    ) -> None:
        scope = scope_of(hand_over.task_key)
        self.session = session
        self.frame = Frame(session, Scope(scope), prints=bool(hand_over.prints))
        self.what = task
        self.policy = policy
        self.fn = task.fn
        self.args, self.kwargs = tuple(arguments[0]), arguments[1]
        self.wait_for = ()
        self.place = Place(scope, hand_over.task_key, hand_over.ordinal)
        self.id = hand_over.task_run_id
        self.task_id = hand_over.task_id
        with tags(*hand_over.tags_around):
            self.tags = tagged(getattr(task, "tags", ()))
        self.attempt = hand_over.attempt
        self.digest = hand_over.input_digest
        self.record = None
        self.seq = None
        self.is_submitted = False
        self.is_claimed = is_claimed
        self.begins_anew()

    def remote_steps(self, next_at: Any) -> Steps[Any]:
        if next_at is not None and (left := (next_at - utc_now()).total_seconds()) > 0:
            self.is_claimed = False
            yield Sleep(self.session, left)
        return (yield from self._attempts())

    def _begin(self) -> None:
        if self.is_claimed:
            self.is_claimed = False
        else:
            self.session.emit(self.event(TaskStarted, client_id=self.session.run.client_id))

    def _completed(self, value: Any, duration_ms: int) -> Steps[None]:
        """Its result has to travel: one that cannot is a failure. What it has submitted is waited for, and what it has
        called is committed here; its own hooks are run by the run that called it.
        """
        if self.session.has_futures:
            yield WaitFor(self.session.pool().open())
        try:
            results.encode_result(value, self.policy.serializer)
        except results.NotStorable as error:
            failure = UnsendableResult(
                f"the result of task {self.policy.name!r} cannot be sent back as {self.policy.serializer} ({error}). "
                'Return builtins, dataclasses or Structs, or use result_serializer="pickle"'
            )
            yield from self._failed(failure, duration_ms)
            raise failure from error
        if self.transaction is not None:
            yield from self.transaction.ended()
        yield from super()._completed(value, duration_ms)

    def _failed(self, error: Exception, duration_ms: int) -> Steps[None]:
        if self.transaction is not None:
            yield from self.transaction.failed()
        yield from super()._failed(error, duration_ms)


class RemoteTask:
    """One execution of one dispatch. history: of the run, when an earlier execution may have got somewhere."""

    def __init__(
        self,
        hand_over: TaskHandOver,
        flow: "Flow[..., Any]",
        task: "Task[..., Any]",
        policy: Policy,
        journal: RemoteJournal,
        arguments: tuple[list[Any], dict[str, Any]],
        *,
        client_id: str,
        client_name: str,
        is_claimed: bool,
        history: History | None = None,
    ) -> None:
        run = RunContext(
            run_id=hand_over.run_id,
            flow_id=hand_over.flow_id,
            flow_name=hand_over.flow_name,
            flow_version=hand_over.flow_version,
            epoch=hand_over.epoch,
            configuration=hand_over.configuration,
            parameters=hand_over.parameters,
            tags=hand_over.tags,
            name=hand_over.run_name,
            client_id=client_id,
            client_name=client_name,
            source=f"worker:{client_id}",
            parent_run_id=hand_over.parent_run_id,
            parent_task_key=hand_over.parent_task_key,
            created_at=hand_over.created_at,
        )
        self._hand_over = hand_over
        self._journal = journal
        self.session = RunSession(run, flow, journal, history)
        if history is not None:
            inside = f"{hand_over.task_key}/"
            self.session.replay = Replay(life for life in history.recorded() if life.key.startswith(inside))
        self.call = RemoteCall(self.session, task, policy, hand_over, arguments, is_claimed=is_claimed)

    def execute_sync(self) -> tuple[Ending, str]:
        with logs.captured(self.session), tags(*self._hand_over.tags_around):
            try:
                drive(self._steps())
            except BaseException as error:
                return self._judged(error)
            return "ended", ""

    async def execute_async(self) -> tuple[Ending, str]:
        import asyncio

        session = self.session
        loop = session.loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def wake() -> None:
            loop.call_soon_threadsafe(task.cancel)

        session.stop.add(wake)
        try:
            with logs.captured(session), branching(loop), tags(*self._hand_over.tags_around):
                await drive_async(self._steps())
        except BaseException as error:
            return self._judged(error)
        finally:
            session.stop.remove(wake)
        return "ended", ""

    def abandon(self) -> None:
        """The dispatch does not count any more: stop, and say nothing more."""
        self._journal.abandon()
        self.session.abandon()

    def flush(self) -> None:
        self._journal.flush()

    def _steps(self) -> Steps[None]:
        call, session = self.call, self.session
        try:
            yield from call.remote_steps(self._hand_over.next_at)
        except (Exception, RunSupersededError, RunCancelledError, GeneratorExit):
            raise
        except BaseException as error:  # sys.exit() in the task's code and the like: the task's own failure
            if session.stop.kind is not None:
                raise
            yield from call._failed(error, 0)  # type: ignore[arg-type]
        finally:
            session.close_pool()

    def _judged(self, error: BaseException) -> tuple[Ending, str]:
        if self._journal.ended:
            return "ended", ""
        reason = self.session.stop.reason
        if self.session.stop.kind is not None and reason is None:
            return "stopped", ""
        return "error", repr(reason or error)
