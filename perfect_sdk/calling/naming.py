"""Names of runs: `flow_run_name`, `task_run_name`, each a template of the parameters or a function."""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas.events import RunNamed
from perfect_sdk.caching.cached_call import named
from perfect_sdk.calling.keys import Scope
from perfect_sdk.context import Frame, entered
from perfect_sdk.running.effects import Commit, Steps

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.running.session import RunSession

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


def name_run(session: "RunSession", values: Mapping[str, Any]) -> Steps[None]:
    """Give the run its `flow_run_name`, unless it has a name: of its trigger, or from an earlier execution."""
    given = session.flow.flow_run_name
    if given is None or session.run.name is not None:
        return
    try:
        with entered(Frame(session, Scope())):
            name = filled_in(given, values, flow=session.flow)
    except Exception as error:
        session.say(_WARNING, f"the flow_run_name of flow {session.flow.name!r} cannot be made", error=error)
        return
    yield Commit(session, session.event(RunNamed, name=name))
    session.run = msgspec.structs.replace(session.run, name=name)


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
