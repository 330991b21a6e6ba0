"""The deployment that the run was started by: None for one that was not."""

from typing import TYPE_CHECKING, Any

from perfect_sdk.context import of_run
from perfect_sdk.runtime.reading import Reading

if TYPE_CHECKING:
    from perfect_sdk.running.session import RunSession

_READ: Reading["RunSession"] = {
    "id": (
        lambda session: (
            f"{session.run.flow_name}/{session.run.deployment}" if session.run.deployment else None
        ),
        None,
    ),
    "name": (lambda session: session.run.deployment, None),
    "version": (lambda session: session.run.flow_version if session.run.deployment else None, None),
    "flow_run_id": (lambda session: session.run.run_id, None),
    "parameters": (lambda session: dict(session.run.parameters) if session.run.deployment else {}, dict),
}


def __getattr__(attribute: str) -> Any:
    try:
        read, outside = _READ[attribute]
    except KeyError:
        raise AttributeError(f"perfect_sdk.runtime.deployment has no {attribute!r}") from None
    frame = of_run()
    if frame is None:
        return outside() if outside is not None else None
    return read(frame.session)


def __dir__() -> list[str]:
    return sorted(_READ)
