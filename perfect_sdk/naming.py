"""Names of runs: `flow_run_name`, `task_run_name`, each a template of the parameters or a function."""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from perfect_sdk.caching import named
from perfect_sdk.context import Frame, entered

if TYPE_CHECKING:
    from perfect_sdk.execution import Call

Namer = str | Callable[..., str]
_WARNING = 30


def task_run_name(call: "Call") -> str | None:
    """A name that cannot be made is said, and the task goes on without: nothing depends on it."""
    session = call.session
    try:
        frame = Frame(session, call.frame.scope, call, prints=call.frame.prints)
        with entered(frame):
            return filled_in(call.policy.run_name, named(call.fn, call.args, call.kwargs))  # type: ignore[arg-type]
    except Exception as error:
        if session.warn_once(("name", call.policy.name)):
            session.say(
                _WARNING,
                f"the task_run_name of task {call.place.key!r} cannot be made",
                call=call,
                error=error,
            )
        return None


def filled_in(name: Namer, parameters: Mapping[str, Any], **more: Any) -> str:
    """A function is called with `parameters=` if it takes that, else with nothing.

    Raises TypeError for a name that is no text, and what the template or the function raises.
    """
    if not callable(name):
        return name.format(**{**more, **parameters})
    takes = "parameters" in inspect.signature(name).parameters
    made = name(parameters=dict(parameters)) if takes else name()
    if not isinstance(made, str):
        raise TypeError(f"{getattr(name, '__name__', name)!r} is to return the name of a run, not {made!r}")
    return made
