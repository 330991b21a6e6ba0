"""The task that the calling code is part of."""

from typing import TYPE_CHECKING, Any

from perfect_sdk.context import current
from perfect_sdk.run_context import arguments_of, name_of
from perfect_sdk.runtime.reading import Reading, page_of

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call


def _page_of(call: "Call", path: str) -> str | None:
    return page_of(path.format(call.flow_run_id)) if call.flow_run_id is not None else None


_READ: Reading["Call"] = {
    "id": (lambda call: call.id, None),
    "name": (name_of, None),
    "task_name": (lambda call: call.policy.name, None),
    "tags": (lambda call: list(call.tags), list),
    "parameters": (lambda call: arguments_of(call.fn, call.args, call.kwargs), dict),
    "run_count": (lambda call: call.attempt, int),
    "api_url": (lambda call: _page_of(call, "/api/engine/runs/{}/tasks"), None),
    "ui_url": (lambda call: _page_of(call, "/runs/{}"), None),
}


def __getattr__(attribute: str) -> Any:
    try:
        read, outside = _READ[attribute]
    except KeyError:
        raise AttributeError(f"perfect_sdk.runtime.task_run has no {attribute!r}") from None
    frame = current.get()
    if frame is None or frame.call is None:
        return outside() if outside is not None else None
    return read(frame.call)


def __dir__() -> list[str]:
    return sorted(_READ)
