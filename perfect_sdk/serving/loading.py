"""Importing what a user names, and finding the flows in it.

A target is a file (`flows.py`, `path/flows.py`) or a module (`package.flows`), and may name one flow of it after a
colon, by its variable or by the flow's own name (`flows.py:etl`).
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from perfect_schemas.errors import InvalidInput

if TYPE_CHECKING:
    from perfect_sdk.flow import Flow
    from perfect_sdk.task import Task


def split(target: str) -> tuple[str, str | None]:
    """`flows.py:etl` → ("flows.py", "etl"); without a flow → (target, None)."""
    place, colon, flow = target.rpartition(":")
    if not colon or "/" in flow or "\\" in flow:
        return target, None
    return place, flow


def load_module(place: str) -> ModuleType:
    """Raises InvalidInput when there is no such file or module; what the module itself raises passes through."""
    return _load_file(Path(place)) if place.endswith(".py") or "/" in place else _load_name(place)


def _load_file(path: Path) -> ModuleType:
    """Like `python path`: its folder comes first on sys.path. Its name is the file's, so that results can be pickled."""
    path = path.expanduser().resolve()
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}")
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = path.stem
    present = sys.modules.get(name)
    if present is not None:
        if getattr(present, "__file__", None) == str(path):
            return present
        name = f"{path.parent.name}_{name}"  # another module of that name: keep it
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidInput(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _load_name(name: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise InvalidInput(
                f"there is no module {name!r} (a file is named with its ending: {name}.py)"
            ) from error
        raise


def flows_in(module: ModuleType) -> "dict[str, Flow]":
    """By variable, in the order of definition; a flow that has several variables appears once."""
    from perfect_sdk.flow import Flow

    found: dict[str, Flow] = {}
    for variable, value in list(vars(module).items()):
        if isinstance(value, Flow) and not any(value is other for other in found.values()):
            found[variable] = value
    return found


def tasks_in(module: ModuleType) -> "dict[str, Task]":
    """By variable, in the order of definition; a task that has several variables appears once."""
    from perfect_sdk.task import Task

    found: dict[str, Task] = {}
    for variable, value in list(vars(module).items()):
        if isinstance(value, Task) and not any(value is other for other in found.values()):
            found[variable] = value
    return found


def load_flows(target: str) -> "list[Flow]":
    """The flows that `target` names: one, or all of its module. A task's name means the flow that runs it in the
    background. Raises InvalidInput when there are none.
    """
    place, wanted = split(target)
    module = load_module(place)
    found = flows_in(module)
    if wanted is not None:
        from perfect_sdk.background.background_flow import flow_of

        for variable, task in tasks_in(module).items():
            if wanted == variable and variable not in found:
                return [flow_of(task)]
    if not found:
        raise InvalidInput(f"{place} defines no flow: decorate a function with @flow at the top level")
    if wanted is None:
        return list(found.values())
    for variable, flow in found.items():
        if wanted in (variable, flow.name):
            return [flow]
    names = ", ".join(found)
    raise InvalidInput(f"{place} has no flow {wanted!r}; it has {names}")
