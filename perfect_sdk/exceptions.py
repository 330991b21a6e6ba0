"""What the SDK raises.

PerfectError (perfect_schemas.errors)
├── InvalidInput
│   ├── ParameterTypeError        a parameter's value does not fit its annotation; names every wrong field
│   ├── ParameterBindError        positional or keyword arguments do not fit the flow's signature
│   ├── SignatureMismatchError    parameters by name do not fit the flow's signature
│   ├── MappingLengthMismatch     iterables given to `map` differ in length
│   ├── MappingMissingIterable    `map` got nothing to iterate over
│   ├── NotJSON                   a value that is to be kept has no JSON form
│   ├── UnsendableArguments       a task runs on another worker, and its arguments cannot be sent there
│   └── NotSupported              an option that does not exist here; says what to use instead
├── NotFound
│   └── ObjectNotFound            there is no secret of that name
├── Conflicting
│   └── ObjectAlreadyExists       there is one of that name, and it was not to be overwritten
├── FlowPauseTimeout              nobody resumed a paused run in time
├── FlowRunWaitTimeout            a run did not end in time
├── AcquireConcurrencySlotTimeoutError   no slot became free in time
├── ConcurrencySlotAcquisitionError      there is no such limit (strict), or no slot after `max_retries`
├── MissingContextError           something that needs a running flow or task was used outside of one
├── NonDeterministicFlowError     on a resume, the flow took another path than the one that is recorded
├── UpstreamTaskError             a task did not run because a future among its inputs failed
├── MissingResult                 a state has no result (yet), or it was not kept
├── FailedRun, CrashedRun, CancelledRun, UnfinishedRun     raised for the state of a task or of a child run
│       └── PausedRun             of UnfinishedRun: it waits to be resumed
├── TaskCrashed                   the process that ran a task died
├── UnsendableResult              a task's result cannot be sent back from the worker that ran it
├── UnknownTask                   a worker's code does not have the task that it was handed
├── LostTask                      the workers that ran a task were lost, too often in a row
└── RecordedError                 a recorded exception whose class cannot be imported here
TaskTimeoutError, FlowTimeoutError (TimeoutError)   `timeout_seconds` has passed
"""

from perfect_schemas.errors import Conflicting, FieldError, InvalidInput, NotFound, PerfectError
from perfect_sdk.elsewhere import names_of


class ParameterTypeError(InvalidInput, TypeError):
    title = "Wrong parameter type"


class ParameterBindError(InvalidInput, TypeError):
    title = "Wrong arguments"


class SignatureMismatchError(InvalidInput, TypeError):
    title = "Wrong parameters"


class NotJSON(InvalidInput, ValueError):
    title = "No JSON form"


class ObjectNotFound(NotFound, ValueError):
    title = "Not found"


class ObjectAlreadyExists(Conflicting, ValueError):
    title = "There is one already"


class UnsendableArguments(InvalidInput, TypeError):
    title = "Arguments that cannot be sent"


class MappingLengthMismatch(InvalidInput):
    title = "Lengths differ"


class MappingMissingIterable(InvalidInput):
    title = "Nothing to map over"


class NotSupported(InvalidInput, TypeError):
    title = "Not supported"


class MissingContextError(PerfectError, RuntimeError):
    title = "No run here"


class FlowPauseTimeout(PerfectError, TimeoutError):
    title = "Not resumed in time"


class FlowRunWaitTimeout(PerfectError, TimeoutError):
    title = "Did not end in time"


class AcquireConcurrencySlotTimeoutError(PerfectError, TimeoutError):
    title = "No slot in time"


class ConcurrencySlotAcquisitionError(PerfectError):
    title = "No slot"


class NonDeterministicFlowError(PerfectError):
    """expected: the task key that the history has at this place. actual: the one that the flow's code asked for."""

    title = "The flow took another path"

    def __init__(self, expected: str, actual: str, reason: str = "another task stands at this place") -> None:
        super().__init__(
            f"the flow does not follow its recorded history: expected {expected!r}, got {actual!r} ({reason}). "
            "Its code changed, or it decides by something that differs between executions: put that into a task, "
            "or fork the run from the last task that is still right, or trigger a new one."
        )
        self.expected = expected
        self.actual = actual
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.expected, self.actual, self.reason)


class UpstreamTaskError(PerfectError):
    title = "An input failed"


class MissingResult(PerfectError):
    title = "No result"


class UnfinishedRun(PerfectError):
    title = "Not finished"


class PausedRun(UnfinishedRun):
    title = "Paused"


class FailedRun(PerfectError):
    title = "The run failed"


class CrashedRun(PerfectError):
    title = "The run crashed"


class CancelledRun(PerfectError):
    title = "The run was cancelled"


class TaskCrashed(PerfectError):
    title = "The task's process died"


class UnsendableResult(PerfectError, TypeError):
    title = "A result that cannot be sent"


class UnknownTask(PerfectError):
    title = "Unknown task"


class LostTask(PerfectError):
    title = "Lost task"


class RecordedError(PerfectError):
    """kind: "module:qualified.name" of the exception as it was recorded."""

    title = "Recorded error"

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class TaskTimeoutError(TimeoutError):
    """A task took longer than its `timeout_seconds`."""


class FlowTimeoutError(TimeoutError):
    """A flow took longer than its `timeout_seconds`."""


PrefectException = PerfectError


__all__ = [
    "AcquireConcurrencySlotTimeoutError",
    "CancelledRun",
    "ConcurrencySlotAcquisitionError",
    "CrashedRun",
    "FailedRun",
    "FieldError",
    "FlowPauseTimeout",
    "FlowRunWaitTimeout",
    "FlowTimeoutError",
    "InvalidInput",
    "LostTask",
    "MappingLengthMismatch",
    "MappingMissingIterable",
    "MissingContextError",
    "MissingResult",
    "NonDeterministicFlowError",
    "NotJSON",
    "NotSupported",
    "ObjectAlreadyExists",
    "ObjectNotFound",
    "ParameterBindError",
    "ParameterTypeError",
    "PausedRun",
    "PerfectError",
    "PrefectException",
    "RecordedError",
    "SignatureMismatchError",
    "TaskCrashed",
    "TaskTimeoutError",
    "UnfinishedRun",
    "UnknownTask",
    "UnsendableArguments",
    "UnsendableResult",
    "UpstreamTaskError",
]

__getattr__ = names_of(__name__)
