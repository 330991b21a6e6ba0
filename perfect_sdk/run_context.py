"""What code can ask of the flow and task that run it: `FlowRunContext`, `TaskRunContext`, `get_run_context`."""

import inspect
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_sdk.context import Frame, current, of_run
from perfect_sdk.exceptions import MissingContextError
from perfect_sdk.runs import FlowRun
from perfect_sdk.states import Running

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.running.session import RunSession


class TaskRun(msgspec.Struct, frozen=True, kw_only=True):
    """A task run as its own code sees it. run_count: which attempt it is, from 1."""

    id: str
    name: str
    task_key: str
    flow_run_id: str | None
    tags: list[str]
    run_count: int


class FlowRunContext(msgspec.Struct, frozen=True, kw_only=True):
    """The run that the calling code is part of, in its flow or in a task of it.

    parameters: as the flow got them, by name. start_time: when the run was made.
    """

    flow: Any
    flow_run: FlowRun
    parameters: dict[str, Any]
    task_runner: Any
    log_prints: bool
    start_time: datetime | None

    @classmethod
    def get(cls) -> "FlowRunContext | None":
        """None outside of a run."""
        frame = of_run()
        return None if frame is None else of_flow(frame)


class TaskRunContext(msgspec.Struct, frozen=True, kw_only=True):
    """The task that the calling code is part of. parameters: its arguments by name, with defaults."""

    task: Any
    task_run: TaskRun
    parameters: dict[str, Any]
    log_prints: bool

    @classmethod
    def get(cls) -> "TaskRunContext | None":
        """None outside of a task."""
        frame = current.get()
        return None if frame is None or frame.call is None else of_task(frame, frame.call)


def get_run_context() -> FlowRunContext | TaskRunContext:
    """The task's, otherwise the flow's. Raises MissingContextError outside of a run."""
    found = TaskRunContext.get() or FlowRunContext.get()
    if found is None:
        raise MissingContextError(
            "get_run_context() needs a running flow or task; it was called outside of one"
        )
    return found


def of_flow(frame: Frame) -> FlowRunContext:
    session = frame.session
    return FlowRunContext(
        flow=session.flow,
        flow_run=session.flow_run(Running()),
        parameters=parameters_of(session),
        task_runner=session.flow.task_runner,
        log_prints=frame.prints,
        start_time=session.run.created_at,
    )


def of_task(frame: Frame, call: "Call") -> TaskRunContext:
    return TaskRunContext(
        task=call.what,
        task_run=TaskRun(
            id=call.id,
            name=name_of(call),
            task_key=call.place.key,
            flow_run_id=call.session.run.run_id if call.session.has_flow else None,
            tags=call.tags,
            run_count=call.attempt,
        ),
        parameters=arguments_of(call.fn, call.args, call.kwargs),
        log_prints=frame.prints,
    )


def name_of(call: "Call") -> str:
    """What people call the task run, otherwise its key, which no other task run of the run has."""
    return getattr(call, "run_name", None) or call.place.key


def parameters_of(session: "RunSession") -> dict[str, Any]:
    """With defaults; the values themselves where this process made them, otherwise as they were recorded."""
    given = session.values if session.values is not None else session.run.parameters
    named = inspect.signature(session.flow.fn).parameters
    defaults = {
        name: one.default for name, one in named.items() if one.default is not inspect.Parameter.empty
    }
    return {**defaults, **given}


def arguments_of(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    try:
        bound = inspect.signature(fn).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return dict(kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)
