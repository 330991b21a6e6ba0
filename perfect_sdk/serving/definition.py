"""What is known of a flow at registration, without running it: its tasks, its parameters, its version.

The tasks are the Task objects that the flow's code can reach through the names that it uses: globals, closures,
attributes of modules, classes and instances, helpers of its own module, tasks called by tasks, and child flows (which
count as one task under their name). In order of first use.
"""

import dis
import functools
import hashlib
import inspect
import marshal
import sys
from collections.abc import Callable, Iterator, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from perfect_schemas import ids
from perfect_schemas.commands import RegisterFlow
from perfect_schemas.events.flow import TaskDefinition
from perfect_sdk.encoding.values import encode_ordered
from perfect_sdk.schedule import schedule_text, specs_of
from perfect_sdk.task import Task

if TYPE_CHECKING:
    from perfect_sdk.flow import Flow

_MISSING: Any = object()
_MAX_ITEMS = 1000


def define(flow: "Flow[..., Any]") -> RegisterFlow:
    reached = reachable(flow)
    schema = flow.parameters
    digest = hashlib.sha256(source_of(flow.fn))
    for task in reached:
        digest.update(b"\0" + source_of(task.fn))
    digest.update(b"\0" + encode_ordered(schema))
    module, name = _place_of(flow.fn)
    return RegisterFlow(
        name=flow.name,
        flow_version=digest.hexdigest()[:12],
        description=flow.description,
        tags=flow.tags,
        tasks=[_definition(flow, task) for task in _by_name(reached)],
        parameters=schema,
        entrypoint=f"{module}:{name}",
        schedule=schedule_text(flow.schedule),
        schedules=specs_of(flow.schedule, flow.schedules),
    )


def _by_name(reached: list[Any]) -> list[Any]:
    """One of each name, the first: tasks of one name are one task in statistics."""
    return list({task.name: task for task in reversed(reached)}.values())[::-1]


def _definition(flow: "Flow[..., Any]", task: Any) -> TaskDefinition:
    return TaskDefinition(
        id=ids.task_id(flow.id, task.name),
        name=task.name,
        weight=getattr(task, "weight", 1.0),
        estimated_time=getattr(task, "estimated_time", None),
        description=task.description,
    )


def _place_of(fn: Callable[..., Any]) -> tuple[str, str]:
    module = getattr(fn, "__module__", "__main__")
    if module == "__main__":
        module = getattr(sys.modules.get("__main__"), "__file__", None) or module
    return module, getattr(fn, "__qualname__", type(fn).__name__)


def source_of(fn: Callable[..., Any]) -> bytes:
    """The source text; where there is none (an interactive session), the compiled code."""
    fn = inspect.unwrap(fn)
    try:
        return inspect.getsource(fn).encode()
    except (OSError, TypeError):
        code = getattr(fn, "__code__", None)
        return marshal.dumps(code.replace(co_filename="")) if code is not None else repr(type(fn)).encode()


def reachable(flow: "Flow[..., Any]") -> list[Any]:
    """The Task and child Flow objects that the flow's code can reach, in order of first use."""
    walk = _Walk(flow)
    task = getattr(flow, "task", None)
    if task is not None:  # that it runs in the background
        walk.value(task)
    else:
        walk.function(flow.fn)
    return walk.found


class _Walk:
    """In order: what a function uses comes before what follows it, tasks of a task right after it."""

    def __init__(self, flow: "Flow[..., Any]") -> None:
        from perfect_sdk.flow import Flow

        self._flow_type = Flow
        self._flow = flow
        self._module = getattr(flow.fn, "__module__", None)
        self._seen: set[int] = {id(flow)}
        self._alive: list[Any] = []  # ids stay unique only while the objects live
        self.found: list[Any] = []

    def function(self, fn: Any) -> None:
        fn = inspect.unwrap(fn)
        if isinstance(fn, MethodType):
            fn = fn.__func__
        if isinstance(fn, FunctionType) and self._is_new(fn):
            for value in used_by(fn.__code__, fn.__globals__, _closure_of(fn)):
                self.value(value)

    def _is_new(self, value: Any) -> bool:
        if id(value) in self._seen:
            return False
        self._seen.add(id(value))
        self._alive.append(value)
        return True

    def value(self, value: Any) -> None:
        if isinstance(value, (Task, self._flow_type)):
            if self._is_new(value):
                self.found.append(value)
                if isinstance(value, Task):
                    self.function(value.fn)
        elif isinstance(value, functools.partial):
            self.value(value.func)
        elif isinstance(value, (FunctionType, MethodType)):
            if getattr(value, "__module__", None) == self._module or hasattr(value, "__wrapped__"):
                self.function(value)
        elif isinstance(value, (list, tuple, set, frozenset)):
            if len(value) <= _MAX_ITEMS and self._is_new(value):
                for each in value:
                    self.value(each)
        elif isinstance(value, dict):
            if len(value) <= _MAX_ITEMS and self._is_new(value):
                for each in list(value.values()):
                    self.value(each)
        elif isinstance(value, type):
            if value.__module__ == self._module and self._is_new(value):
                self._class(value)
        elif type(value).__module__ == self._module and self._is_new(value):
            self._class(type(value))
            for each in list(getattr(value, "__dict__", {}).values()):
                if isinstance(each, (Task, self._flow_type)):
                    self.value(each)

    def _class(self, kind: type) -> None:
        for each in list(vars(kind).values()):
            if isinstance(each, (staticmethod, classmethod)):
                each = each.__func__  # noqa: PLW2901
            if isinstance(each, (Task, self._flow_type, FunctionType)):
                self.value(each)


def _closure_of(fn: FunctionType) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=False):
        try:
            cells[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return cells


def used_by(code: CodeType, names: Mapping[str, Any], cells: Mapping[str, Any]) -> Iterator[Any]:
    """The values that the code's names stand for, in the order of its instructions, inner functions included.

    A chain like `module.part.task` gives what stands at its end, and each step on the way that is not a module.
    """
    held: Any = _MISSING
    for step in dis.get_instructions(code):
        name = step.opname
        if name in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            held = names.get(step.argval, _MISSING)
        elif name in ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"):
            held = cells.get(step.argval, _MISSING)
        elif name == "IMPORT_NAME":
            held = sys.modules.get(str(step.argval), _MISSING)
            continue
        elif name in ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"):
            before, held = held, _attribute(held, step.argval)
            if name == "IMPORT_FROM":
                if held is not _MISSING:
                    yield held
                held = before
                continue
        elif name == "LOAD_CONST" and isinstance(step.argval, CodeType):
            yield from used_by(step.argval, names, cells)
            held = _MISSING
        elif name in ("PRECALL", "CACHE", "NOP", "RESUME", "PUSH_NULL"):
            continue
        else:
            held = _MISSING
        if held is not _MISSING and not isinstance(held, ModuleType):
            yield held


def _attribute(value: Any, name: str) -> Any:
    """Without running code of the user's: properties and `__getattr__` are left alone."""
    if value is _MISSING:
        return _MISSING
    if isinstance(value, ModuleType):
        return vars(value).get(name, _MISSING)
    try:
        found = inspect.getattr_static(value, name)
    except AttributeError:
        return _MISSING
    return found.__func__ if isinstance(found, (staticmethod, classmethod)) else found
