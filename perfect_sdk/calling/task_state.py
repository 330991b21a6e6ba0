"""`task(…, return_state=True)`: what became of a call, instead of its result."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from perfect_sdk.running.effects import drive
from perfect_sdk.states import State

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call


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
