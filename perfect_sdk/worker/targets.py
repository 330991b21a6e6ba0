"""What an executor imports: the flows of the targets, and why one could not be imported."""

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from perfect_schemas import ids
from perfect_schemas.errors import InvalidInput
from perfect_sdk.worker.frames import LoadFailure, Ready

if TYPE_CHECKING:
    from perfect_schemas.commands import RegisterFlow
    from perfect_sdk.background.background_flow import BackgroundFlow
    from perfect_sdk.flow import Flow

_HERE = str(Path(__file__).parent.parent)


def load(targets: list[str]) -> "tuple[dict[str, Flow], Ready]":
    """The flows by id, and what the supervisor is to know. A target that fails leaves the others alone.

    The tasks of a whole file can be run in the background, each by a flow of its own; not those that share their name.
    """
    flows: dict[str, Flow] = {}
    definitions: list[RegisterFlow] = []
    failures: list[LoadFailure] = []
    background: dict[str, BackgroundFlow] = {}
    ambiguous: set[str] = set()
    for target in targets:
        try:
            found, tasks = _load(target)
            for flow in found:
                definition = flow.definition
                flow_id = ids.flow_id(definition.name)
                known = flows.setdefault(flow_id, flow)
                if known is not flow:
                    text = f"two flows are called {definition.name!r}: give one of them another name"
                    failures.append(LoadFailure(target=target, error=text))
                elif all(other.name != definition.name for other in definitions):
                    definitions.append(msgspec.structs.replace(definition, entrypoint=target))
            for flow in tasks:
                first = background.setdefault(flow.id, flow)
                if first.task.fn is not flow.task.fn:
                    ambiguous.add(flow.id)
        except InvalidInput as error:
            failures.append(LoadFailure(target=target, error=error.detail))
        except (Exception, SystemExit):
            failures.append(LoadFailure(target=target, error=_user_traceback()))
    more = [flow for flow_id, flow in background.items() if flow_id not in flows and flow_id not in ambiguous]
    ready = Ready(flows=definitions, failures=failures, background=[flow.definition for flow in more])
    return flows | {flow.id: flow for flow in more}, ready


def _load(target: str) -> "tuple[list[Flow], list[BackgroundFlow]]":
    """The flows of the target, and those of its tasks. Raises InvalidInput when it has neither."""
    from perfect_sdk.background.background_flow import flow_of
    from perfect_sdk.serving.loading import load_flows, load_module, split, tasks_in

    place, wanted = split(target)
    tasks = [flow_of(task) for task in tasks_in(load_module(place)).values()] if wanted is None else []
    try:
        return load_flows(target), tasks
    except InvalidInput:
        if not tasks:
            raise
        return [], tasks


def _user_traceback() -> str:
    """The traceback of the current exception, without the frames of what imported the module."""
    error = sys.exception()
    assert error is not None
    trace = error.__traceback__
    while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


def _is_machinery(file: str) -> bool:
    return file.startswith((_HERE, "<frozen importlib")) or "/importlib/" in file
