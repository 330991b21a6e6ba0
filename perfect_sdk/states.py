"""States as users see them: what became of a run or task. Returning one from a flow or task sets it."""

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

from perfect_schemas.envelope import utc_now
from perfect_sdk.exceptions import (
    CancelledRun,
    CrashedRun,
    FailedRun,
    FlowTimeoutError,
    MissingResult,
    NotSupported,
    PausedRun,
    TaskCrashed,
    TaskTimeoutError,
    UnfinishedRun,
)

R = TypeVar("R")


class StateType(StrEnum):
    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"


_FINAL = frozenset({StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED})
_RAISED = {StateType.CANCELLED: CancelledRun, StateType.CRASHED: CrashedRun, StateType.FAILED: FailedRun}


class State(Generic[R]):
    """data: the result of a completed state, the exception of a failed one."""

    __slots__ = ("data", "message", "name", "timestamp", "type")

    def __init__(
        self,
        type: StateType,  # noqa: A002
        name: str | None = None,
        message: str | None = None,
        data: Any = None,
        timestamp: datetime | None = None,
    ) -> None:
        self.type = StateType(type)
        self.name = name or self.type.value.capitalize()
        self.message = message
        self.data = data
        self.timestamp = timestamp or utc_now()

    def __repr__(self) -> str:
        return f"{self.name}({self.message!r})" if self.message else f"{self.name}()"

    def __perfect_json__(self) -> Any:
        from perfect_sdk.encoding.state_json import as_json

        return as_json(self)

    def with_data(self, data: Any) -> "State[R]":
        return State(self.type, self.name, self.message, data, self.timestamp)

    def is_completed(self) -> bool:
        return self.type is StateType.COMPLETED

    def is_failed(self) -> bool:
        return self.type is StateType.FAILED

    def is_crashed(self) -> bool:
        return self.type is StateType.CRASHED

    def is_cancelled(self) -> bool:
        return self.type is StateType.CANCELLED

    def is_cancelling(self) -> bool:
        return self.type is StateType.CANCELLING

    def is_running(self) -> bool:
        return self.type is StateType.RUNNING

    def is_pending(self) -> bool:
        return self.type is StateType.PENDING

    def is_scheduled(self) -> bool:
        return self.type is StateType.SCHEDULED

    def is_paused(self) -> bool:
        return self.type is StateType.PAUSED

    def is_final(self) -> bool:
        return self.type in _FINAL

    def result(self, raise_on_failure: bool = True, retry_result_failure: bool = True) -> R:  # noqa: ARG002
        """The value of a completed state. Raises what failed, or returns it with `raise_on_failure=False`.

        Raises UnfinishedRun while there is no result yet, PausedRun of a paused one. retry_result_failure: has no effect, a
        state has its result with it.
        """
        if self.type is StateType.COMPLETED:
            return self.data
        if self.type not in _FINAL:
            kind = PausedRun if self.type is StateType.PAUSED else UnfinishedRun
            raise kind(f"it is {self.name} and has no result yet")
        if not raise_on_failure and isinstance(self.data, (list, tuple, set, frozenset)):
            return self.data  # type: ignore[return-value]  # the states that it is made of
        error = get_state_exception(self)
        if raise_on_failure:
            raise error
        return error  # type: ignore[return-value]

    async def aresult(self, raise_on_failure: bool = True, retry_result_failure: bool = True) -> R:  # noqa: ARG002
        """`result` for async code. retry_result_failure: has no effect, a state has its result with it."""
        return self.result(raise_on_failure)


def get_state_exception(state: State[Any]) -> BaseException:
    """The exception of a failed, crashed or cancelled state."""
    if isinstance(state.data, BaseException):
        return state.data
    if isinstance(state.data, State):  # of a flow that returned a future
        return get_state_exception(state.data)
    kind = _RAISED.get(state.type)
    if kind is None:
        raise MissingResult(f"a state of type {state.type.value} has no exception")
    return kind(state.message or (state.data if isinstance(state.data, str) else f"it is {state.name}"))


def raise_state_exception(state: State[Any]) -> None:
    if state.type in _RAISED:
        raise get_state_exception(state)


def failed_by(error: BaseException) -> State[Any]:
    """The state of what raised `error`."""
    if isinstance(error, TaskCrashed):
        return Crashed(message=str(error), data=error)
    if isinstance(error, FailedRun):  # of a Failed state that was returned
        return Failed(message=str(error), data=error)
    is_late = isinstance(error, (TaskTimeoutError, FlowTimeoutError))
    return Failed(
        message=f"{type(error).__name__}: {error}", data=error, name="TimedOut" if is_late else "Failed"
    )


def _constructor(name: str, kind: StateType) -> Callable[..., State[Any]]:
    def make(message: str | None = None, data: Any = None, **options: Any) -> State[Any]:
        options.setdefault("name", name)
        if unknown := options.keys() - {"name", "timestamp"}:
            raise NotSupported(
                f"{name}({min(unknown)}=…) is not supported: a run gets its time from run_deployment(scheduled_time=…), and "
                "waits by pause_flow_run(timeout=…, key=…)"
            )
        return State(kind, message=message, data=data, **options)

    make.__name__ = make.__qualname__ = name
    return make


Scheduled = _constructor("Scheduled", StateType.SCHEDULED)
Pending = _constructor("Pending", StateType.PENDING)
Running = _constructor("Running", StateType.RUNNING)
Completed = _constructor("Completed", StateType.COMPLETED)
Failed = _constructor("Failed", StateType.FAILED)
Crashed = _constructor("Crashed", StateType.CRASHED)
Cancelled = _constructor("Cancelled", StateType.CANCELLED)
Cancelling = _constructor("Cancelling", StateType.CANCELLING)
Paused = _constructor("Paused", StateType.PAUSED)
Suspended = _constructor("Suspended", StateType.PAUSED)
AwaitingRetry = _constructor("AwaitingRetry", StateType.SCHEDULED)
Retrying = _constructor("Retrying", StateType.RUNNING)
Late = _constructor("Late", StateType.SCHEDULED)
AwaitingConcurrencySlot = _constructor("AwaitingConcurrencySlot", StateType.SCHEDULED)
Submitting = _constructor("Submitting", StateType.PENDING)
InfrastructurePending = _constructor("InfrastructurePending", StateType.PENDING)


class StateGroup:
    """Several states, counted."""

    def __init__(self, states: Iterable[State[Any]]) -> None:
        self.states = list(states)
        self.total_count = len(self.states)

    def _count(self, kind: StateType) -> int:
        return sum(state.type is kind for state in self.states)

    @property
    def completed_count(self) -> int:
        return self._count(StateType.COMPLETED)

    @property
    def failed_count(self) -> int:
        """Crashed ones, too."""
        return self._count(StateType.FAILED) + self._count(StateType.CRASHED)

    @property
    def fail_count(self) -> int:
        return self.failed_count

    @property
    def cancelled_count(self) -> int:
        return self._count(StateType.CANCELLED)

    def all_completed(self) -> bool:
        return self.completed_count == self.total_count

    def any_failed(self) -> bool:
        return self.failed_count > 0

    def any_cancelled(self) -> bool:
        return self.cancelled_count > 0

    def any_paused(self) -> bool:
        return self._count(StateType.PAUSED) > 0

    def all_final(self) -> bool:
        return all(state.is_final() for state in self.states)
