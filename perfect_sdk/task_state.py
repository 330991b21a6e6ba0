"""`task(…, return_state=True)`: what became of a call, instead of its result."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from perfect_sdk.effects import drive
from perfect_sdk.states import Completed, State, failed_by

if TYPE_CHECKING:
    from perfect_sdk.execution import Call
    from perfect_sdk.task import Task


def of(call: "Call") -> State[Any]:
    try:
        value = drive(call.steps())
    except Exception as error:
        return call.state_by(error)
    return call.state_of(value)


async def of_async(call: "Call", work: Coroutine[Any, Any, Any]) -> State[Any]:
    try:
        value = await work
    except Exception as error:
        return call.state_by(error)
    return call.state_of(value)


def outside(task: "Task[..., Any]", args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The call of a task outside of a flow, where it is the plain function: its result, or its state if wanted."""
    inputs = {name: value for name, value in kwargs.items() if name not in ("wait_for", "return_state")}
    if not kwargs.get("return_state"):
        return task.fn(*args, **inputs)
    if task.is_async:
        return _awaited(task.fn(*args, **inputs))
    try:
        return _state(task.fn(*args, **inputs))
    except Exception as error:
        return failed_by(error)


async def _awaited(work: Any) -> State[Any]:
    try:
        return _state(await work)
    except Exception as error:
        return failed_by(error)


def _state(value: Any) -> State[Any]:
    return value if isinstance(value, State) else Completed(data=value)
