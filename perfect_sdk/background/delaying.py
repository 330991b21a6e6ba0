"""`task.delay(…)`: a run of its own for one call of a task, on whichever worker has the task, without waiting for it.

Returns when the run is stored. Within a run the call is recorded like a task, under an id that follows from its place:
a resumed run delays nothing twice.
"""

import inspect
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from perfect_schemas import ids, subjects
from perfect_schemas.commands import TriggerRun
from perfect_schemas.errors import NotFound, ServiceUnavailable
from perfect_sdk.annotations import Annotation
from perfect_sdk.background.background_flow import RESULT_OF, WAIT_FOR, BackgroundFlow, flow_of
from perfect_sdk.background.distributed_future import PerfectDistributedFuture
from perfect_sdk.calling.execution import Call
from perfect_sdk.calling.policy import Policy
from perfect_sdk.connecting.system import System, is_async_code
from perfect_sdk.context import Frame, current, tagged
from perfect_sdk.encoding.values import encode, to_builtins
from perfect_sdk.exceptions import NotSupported, ParameterBindError, UnsendableArguments
from perfect_sdk.futures import PerfectFuture
from perfect_sdk.running.effects import drive

if TYPE_CHECKING:
    from perfect_sdk.task import Task


def delay(
    task: "Task[..., Any]", args: tuple[Any, ...], kwargs: Mapping[str, Any], wait_for: Iterable[Any] = ()
) -> PerfectDistributedFuture[Any]:
    """Raises ParameterBindError, ParameterTypeError, UnsendableArguments, ServiceUnavailable without a system."""
    frame = current.get()
    flow = flow_of(task)
    parameters = _parameters(flow, args, kwargs, frame)
    if awaited := [_run_of(flow, one, frame) for one in wait_for or ()]:
        parameters[WAIT_FOR] = [run_id for run_id in awaited if run_id is not None]
    if frame is not None and frame.session.journal.is_recorded:
        return PerfectDistributedFuture(_within(frame, flow, parameters), task)
    return PerfectDistributedFuture(_outside(flow, parameters), task)


def _outside(flow: BackgroundFlow, parameters: dict[str, Any]) -> str:
    configuration = os.environ.get("PERFECT_CONFIGURATION", "development")
    if configuration not in ("development", "debug", "release"):
        configuration = "development"
    try:
        system = System.of_process()
    except ServiceUnavailable as error:
        raise ServiceUnavailable(
            f"task {flow.task.name!r} cannot run in the background: {error.detail}. Call it to run it here and now"
        ) from None
    return _trigger(system, flow, _command(flow, ids.uuid7(), parameters, configuration))


class _Delayed(Call):
    """The place in the run that delays it."""

    __slots__ = ()

    @property
    def returns(self) -> Any:
        return str


def _within(frame: Frame, flow: BackgroundFlow, parameters: dict[str, Any]) -> str:
    """Blocks async code, too, for the moment that it takes to store the run."""
    frame.check()
    session = frame.session

    def trigger(parameters: dict[str, Any]) -> str:
        run_id = session.child_id(call.place.key)
        command = _command(flow, run_id, parameters, session.run.configuration)
        return _trigger(session.journal, flow, command)

    policy = Policy(name=f"{flow.task.name}.delay")
    call = _Delayed(frame, flow.task, policy, trigger, (parameters,), {})
    return drive(call.steps())


def _command(flow: BackgroundFlow, run_id: str, parameters: dict[str, Any], configuration: Any) -> TriggerRun:
    return TriggerRun(
        run_id=run_id,
        flow=flow.id,
        configuration=configuration,
        parameters=parameters,
        tags=tagged(flow.tags),
        name=_name(flow, parameters),
        is_checked=True,
    )


def _name(flow: BackgroundFlow, parameters: dict[str, Any]) -> str | None:
    try:
        return flow.run_name(parameters)
    except Exception:  # a template that does not fit: the run says so itself
        return None


def _trigger(system: Any, flow: BackgroundFlow, command: TriggerRun) -> str:
    """Nobody has to serve the task yet: what it takes is registered with the first call."""
    subject = subjects.command("engine", "trigger")
    try:
        system.ask(subject, command).result()
    except NotFound:
        system.ask(subjects.command("registry", "register"), flow.definition).result()
        system.ask(subject, command).result()
    return command.run_id


# -- arguments


def _parameters(
    flow: BackgroundFlow, args: tuple[Any, ...], kwargs: Mapping[str, Any], frame: Frame | None
) -> dict[str, Any]:
    """By name, as JSON values; defaults are the worker's business."""
    signature = flow.signature
    try:
        bound = signature.signature.bind(*args, **kwargs).arguments
    except TypeError as error:
        raise ParameterBindError(
            f"task {flow.task.name!r}: {error}; its signature is {signature.signature}"
        ) from None
    found = {}
    for name, value in bound.items():
        if signature.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            found |= value
        else:
            found[name] = value
    sent = {name: _as_json(flow, name, value, frame) for name, value in found.items()}
    plain = {name: sent[name] for name, value in found.items() if not _holds_future(value)}
    if len(plain) == len(found):
        signature.convert(plain)
    return sent


def _as_json(flow: BackgroundFlow, name: str, value: Any, frame: Frame | None) -> Any:
    value = _replaced(flow, value, frame)
    try:
        made = to_builtins(value)
        encode(made)
    except Exception as error:
        kind = type(value)
        raise UnsendableArguments(
            f"task {flow.task.name!r} runs in the background, and argument {name!r} cannot be sent there as JSON "
            f"({kind.__module__}.{kind.__qualname__}: {error}). Pass builtins, dataclasses or Structs, or the name by "
            "which the task finds it"
        ) from error
    return made


def _replaced(flow: BackgroundFlow, value: Any, frame: Frame | None) -> Any:
    if isinstance(value, (PerfectDistributedFuture, PerfectFuture)):
        run_id = _run_of(flow, value, frame)
        return {RESULT_OF: run_id} if run_id is not None else value.result()
    if isinstance(value, Annotation):
        return _replaced(flow, value.value, frame)
    if type(value) in (list, tuple):
        return [_replaced(flow, each, frame) for each in value]
    if type(value) is dict:
        return {key: _replaced(flow, each, frame) for key, each in value.items()}
    return value


def _holds_future(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_holds_future, value))
    if isinstance(value, dict):
        return any(map(_holds_future, value.values()))
    return isinstance(value, PerfectDistributedFuture)


def _run_of(flow: BackgroundFlow, future: Any, frame: Frame | None) -> str | None:
    """The run that is to end first. What this run itself has submitted ends only with it: that is waited for now."""
    if isinstance(future, PerfectDistributedFuture):
        return future.flow_run_id
    if isinstance(future, PerfectFuture):
        if not future.done() and is_async_code(frame):
            raise NotSupported(
                f"task {flow.task.name!r}: delay() in async code cannot wait for a submitted task: await it first"
            )
        future.result()
        return None
    raise NotSupported(
        f"task {flow.task.name!r}: wait_for takes futures of delay() or submit(), not {future!r}"
    )
