"""The run that the calling code is part of."""

from typing import TYPE_CHECKING, Any

from perfect_sdk.context import of_run
from perfect_sdk.run_context import parameters_of
from perfect_sdk.runtime.reading import Reading, page_of

if TYPE_CHECKING:
    from perfect_sdk.running.session import RunSession

_READ: Reading["RunSession"] = {
    "id": (lambda session: session.run.run_id, None),
    "name": (lambda session: session.run.name or session.run.run_id, None),
    "flow_name": (lambda session: session.run.flow_name, None),
    "flow_version": (lambda session: session.run.flow_version, None),
    "tags": (lambda session: list(session.run.tags), list),
    "parameters": (parameters_of, dict),
    "scheduled_start_time": (lambda session: session.run.scheduled_for or session.run.created_at, None),
    "run_count": (lambda session: session.epoch, int),
    "parent_flow_run_id": (lambda session: session.run.parent_run_id, None),
    "root_flow_run_id": (lambda session: session.root.run.run_id, None),
    "parent_deployment_id": (
        lambda session: session.caller.session.run.deployment if session.caller is not None else None,
        None,
    ),
    "job_variables": (lambda _: {}, None),
    "api_url": (lambda session: page_of(f"/api/engine/runs/{session.run.run_id}"), None),
    "ui_url": (lambda session: page_of(f"/runs/{session.run.run_id}"), None),
}


def __getattr__(attribute: str) -> Any:
    try:
        read, outside = _READ[attribute]
    except KeyError:
        raise AttributeError(f"perfect_sdk.runtime.flow_run has no {attribute!r}") from None
    frame = of_run()
    if frame is None:
        return outside() if outside is not None else None
    return read(frame.session)


def __dir__() -> list[str]:
    return sorted(_READ)
