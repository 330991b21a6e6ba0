"""States among the results that events keep: as JSON, `{"$state": "COMPLETED", "data": 3}`, and back."""

from typing import Any

import msgspec

from perfect_schemas.envelope import ErrorInfo
from perfect_sdk.encoding import failures
from perfect_sdk.states import State

MARK = "$state"


def as_json(state: State[Any]) -> dict[str, Any]:
    """What is inside `data` is made JSON by whoever encodes this."""
    found: dict[str, Any] = {MARK: state.type.value}
    if state.name != state.type.value.capitalize():
        found["name"] = state.name
    if state.message is not None:
        found["message"] = state.message
    if isinstance(state.data, BaseException):
        found["error"] = failures.describe(state.data)
    elif state.data is not None:
        found["data"] = state.data
    return found


def restored(value: Any) -> Any:
    """`value`, decoded from JSON, with its states as states again."""
    if isinstance(value, list):
        return [restored(each) for each in value]
    if not isinstance(value, dict):
        return value
    if MARK not in value:
        return {name: restored(each) for name, each in value.items()}
    data = restored(value.get("data"))
    if "error" in value:
        data = failures.restore(msgspec.convert(value["error"], ErrorInfo))
    return State(value[MARK], name=value.get("name"), message=value.get("message"), data=data)
