"""Which task a hand-over means, among what this worker has imported."""

import importlib
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas.commands import TaskHandOver
from perfect_sdk.calling.policy import Policy
from perfect_sdk.exceptions import UnknownTask
from perfect_sdk.serving.definition import reachable
from perfect_sdk.task import Task

if TYPE_CHECKING:
    from perfect_sdk.flow import Flow


class Lookup:
    """flows: by id, those that the worker serves."""

    def __init__(self, flows: "dict[str, Flow]") -> None:
        self._flows = flows
        self._found: dict[tuple[str, str, str], tuple[Flow, Task[..., Any]]] = {}

    def find(self, hand_over: TaskHandOver) -> "tuple[Flow, Task[..., Any], Policy]":
        """The flow of the run, the task, and how it is to be called. Raises UnknownTask."""
        key = (hand_over.served_flow_id + hand_over.flow_id, hand_over.function, hand_over.name)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._search(hand_over)
        flow, task = found
        policy = msgspec.structs.replace(
            task.policy,
            name=hand_over.name,
            retries=hand_over.retries,
            delays=tuple(hand_over.delays) or (0.0,),
            jitter=hand_over.jitter,
            timeout_seconds=hand_over.timeout_seconds,
            serializer=hand_over.serializer,
            persist=True,  # it is the only way back
            prints=hand_over.prints,
        )
        return flow, task, policy

    def _search(self, hand_over: TaskHandOver) -> "tuple[Flow, Task[..., Any]]":
        served = self._flows.get(hand_over.served_flow_id)
        if served is None:
            raise UnknownTask(f"this worker could not import flow {hand_over.flow_name!r}")
        flows, tasks = _everything(served)
        flow = next((one for one in flows if one.id == hand_over.flow_id), served)
        module, _, qualname = hand_over.function.partition(":")
        alike = [task for task in tasks if _qualname(task.fn) == qualname]
        alike.sort(key=lambda task: (task.name != hand_over.name, _module(task.fn) != module))
        if alike:
            return flow, alike[0]
        found = _imported(module, qualname)
        if found is None:
            raise UnknownTask(
                f"this worker's code has no task {hand_over.function!r} (called {hand_over.name!r}) that flow "
                f"{hand_over.flow_name!r} could have meant: define it at the top level of a module that the worker "
                "imports, and start workers of one version"
            )
        return flow, found


def _everything(root: "Flow") -> "tuple[list[Flow], list[Task[..., Any]]]":
    """The flows and tasks that the flow's code and that of its child flows can reach."""
    flows, tasks = [root], []
    for flow in flows:
        for value in reachable(flow):
            if isinstance(value, Task):
                tasks.append(value)
            elif not any(value is known for known in flows):
                flows.append(value)
    return flows, tasks


def _qualname(fn: Callable[..., Any]) -> str:
    fn = inspect.unwrap(fn)
    return getattr(fn, "__qualname__", type(fn).__name__)


def _module(fn: Callable[..., Any]) -> str:
    return getattr(inspect.unwrap(fn), "__module__", "")


def _imported(module: str, qualname: str) -> "Task[..., Any] | None":
    """What stands at that name, when it can be imported."""
    if module == "__main__":
        return None
    try:
        value: Any = sys.modules.get(module) or importlib.import_module(module)
        for part in qualname.split("."):
            value = getattr(value, part)
    except Exception:
        return None
    if isinstance(value, Task):
        return value
    return Task(value) if inspect.isfunction(value) else None
