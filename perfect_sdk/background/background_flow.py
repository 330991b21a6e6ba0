"""What runs a task in the background: a flow of its own, called `task/<name>`, whose body is one call of the task.

A worker that has the task in its file can run it; nobody writes it. Parameters are the task's own, by name. Where one
stands for what another run returns, it is `{"$result_of": run id}`; `$wait_for` are the runs that have to end first.
"""

import functools
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from perfect_schemas import ids
from perfect_schemas.states import RunState
from perfect_sdk import results
from perfect_sdk.calling.keys import Scope
from perfect_sdk.context import Frame, current
from perfect_sdk.exceptions import UpstreamTaskError
from perfect_sdk.flow import Flow
from perfect_sdk.running.effects import Blocking, Steps, drive, drive_async
from perfect_sdk.waiting import waits

if TYPE_CHECKING:
    from perfect_schemas.commands import RegisterFlow
    from perfect_sdk.task import Task

PREFIX = "task/"
RESULT_OF = "$result_of"
WAIT_FOR = "$wait_for"


class BackgroundFlow(Flow[..., Any]):
    """task: the one that it calls."""

    def __init__(self, task: "Task[..., Any]") -> None:
        self.task = task
        named = task.policy.run_name
        super().__init__(
            _body(self, task),
            name=flow_name(task),
            description=task.description,
            tags=sorted(task.tags),
            flow_run_name=named if isinstance(named, str) else None,
            result_serializer=task.policy.serializer,
        )

    @cached_property
    def definition(self) -> "RegisterFlow":
        from perfect_sdk.serving.definition import define

        return define(self)

    def convert_parameters(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a run that waits for others are converted by its body, when it has all of them."""
        if not upstream(parameters):
            return super().convert_parameters(parameters)
        given = {name: value for name, value in parameters.items() if name != WAIT_FOR}
        self.signature.check_names(given)
        return given


def flow_name(task: "Task[..., Any]") -> str:
    return f"{PREFIX}{task.name}"


def flow_of(task: "Task[..., Any]") -> BackgroundFlow:
    """Made once a task."""
    found = task.__dict__.get("_background_flow")
    if found is None:
        found = task.__dict__["_background_flow"] = BackgroundFlow(task)
    return found


def task_run_id(run_id: str, task_name: str) -> str:
    """Of the one task in the run `run_id`."""
    return ids.task_run_id(run_id, Scope().take(task_name).key)


def upstream(parameters: Mapping[str, Any]) -> list[str]:
    """The runs that are waited for, each once."""
    found = [run_id for name, value in parameters.items() if name != WAIT_FOR for run_id in _marked(value)]
    return list(dict.fromkeys([*parameters.get(WAIT_FOR, ()), *found]))


def _marked(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if value.keys() == {RESULT_OF}:
            yield value[RESULT_OF]
        else:
            for each in value.values():
                yield from _marked(each)
    elif isinstance(value, list):
        for each in value:
            yield from _marked(each)


def _body(flow: BackgroundFlow, task: "Task[..., Any]") -> Any:
    if task.is_async:

        @functools.wraps(task.fn)
        async def body_async(*args: Any, **kwargs: Any) -> Any:
            args, kwargs = await drive_async(_arguments(flow, args, kwargs))
            return await task(*args, **kwargs)

        return body_async

    @functools.wraps(task.fn)
    def body(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = drive(_arguments(flow, args, kwargs))
        return task(*args, **kwargs)

    return body


def _arguments(
    flow: BackgroundFlow, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Steps[tuple[Any, dict[str, Any]]]:
    """With the results of the runs that the parameters name. The run holds no place while it waits for them."""
    frame = current.get()
    assert frame is not None
    given = frame.session.run.parameters
    awaited = upstream(given)
    if not awaited:
        return args, kwargs
    values: dict[str, Any] = {}
    for run_id in awaited:
        values[run_id] = yield from _result_of(frame, run_id)
    filled = {name: _filled(value, values) for name, value in given.items() if name != WAIT_FOR}
    return flow.signature.arguments(flow.signature.convert(filled))


def _result_of(frame: Frame, run_id: str) -> Steps[Any]:
    life = yield from waits.until_final(frame, run_id, None)
    if life is None:
        raise UpstreamTaskError(f"its input, run {run_id}, is not there any more")
    if life.state is not RunState.COMPLETED:
        why = life.error.message if life.error is not None else life.reason
        raise UpstreamTaskError(
            f"its input, run {run_id} of {life.flow_name!r}, ended as {life.state.value}"
            + f": {why}" * bool(why)
        )
    stored, load = life.result, frame.session.journal.load
    if stored is None:
        return None
    if stored.ref is None:
        return results.decode_result(stored, Any, load)
    return (yield Blocking(lambda: results.decode_result(stored, Any, load)))


def _filled(value: Any, values: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {RESULT_OF}:
            return values[value[RESULT_OF]]
        return {name: _filled(each, values) for name, each in value.items()}
    return [_filled(each, values) for each in value] if isinstance(value, list) else value
