"""REST shapes as the page templates take them (`ui/README.md`, "View models"): plain dicts, times as ISO strings."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from perfect_schemas.events.flow import Deployment
from perfect_schemas.states import FINAL_RUN_STATES, RETRIABLE_RUN_STATES
from perfect_schemas.views import ArtifactView, FlowView, LogView

ARTIFACT_BYTES = 64 * 1024  # shown on a page; the API has all
RESULT_CHARACTERS = 20_000  # shown on a page; the API has all
LINES_A_BATCH = 100_000  # more than any batch of log lines has
NOTHING_USUAL: Mapping[str, Any] = MappingProxyType({})


def plain(value: Any) -> Any:
    """A view as the JSON that the API would send of it."""
    return msgspec.json.decode(msgspec.json.encode(value))


def class_name(kind: str) -> str:
    """The bare name of the class that `module:Outer.Name` names."""
    return kind.rpartition(":")[2].rpartition(".")[2]


def error_shape(error: dict[str, Any] | None) -> dict[str, Any] | None:
    """{kind, message, traceback?} → {type, message, traceback}; type is the class's bare name."""
    if error is None:
        return None
    return {
        "type": class_name(str(error.get("kind", ""))) or "Ended",
        "message": error.get("message", ""),
        "traceback": error.get("traceback", ""),
    }


def run_shape(run: dict[str, Any], *, result: bool = False) -> dict[str, Any]:
    """result: with `result_text`, for the one run that a page is about."""
    run["error"] = error_shape(run.get("error"))
    value = run.pop("result", None)
    if result:
        run["result_text"] = result_text(value)
    return run


def result_text(value: Any) -> str | None:
    """A result for reading: text as it is, the rest as indented JSON; the beginning of what is very long."""
    if value is None:
        return None
    text = (
        value
        if isinstance(value, str)
        else msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    )
    return text if len(text) <= RESULT_CHARACTERS else f"{text[:RESULT_CHARACTERS]}…"


def task_shape(task: dict[str, Any], usual: Mapping[str, Any] = NOTHING_USUAL) -> dict[str, Any]:
    """usual: task id → how long it takes by history (`facts.Usual`), for the rows that show it."""
    task["error"] = error_shape(task.get("error"))
    if task["task_id"] in usual:
        task["usual"] = msgspec.structs.asdict(usual[task["task_id"]])
    return task


def artifact_shape(view: ArtifactView) -> dict[str, Any]:
    """`data` is None for what is too large to be shown on a page."""
    if view.ref is not None or view.size_bytes > ARTIFACT_BYTES:
        view = msgspec.structs.replace(view, data=msgspec.Raw(b"null"))
    return plain(view)


def flow_shape(flow: FlowView) -> dict[str, Any]:
    """Also what `GET /api/engine/flows` answers: each task with its weight and estimate, defaults written out."""
    shape = plain(flow)
    shape["tasks"] = [
        {
            "id": task.id,
            "name": task.name,
            "weight": task.weight,
            "estimated_time": task.estimated_time,
            "description": task.description,
        }
        for task in flow.tasks
    ]
    shape["deployments"] = [deployment_shape(one) for one in flow.deployments]
    return shape


def deployment_shape(deployment: Deployment) -> dict[str, Any]:
    """With its defaults written out."""
    return msgspec.structs.asdict(deployment)


def line_number(seq: int, n: int) -> int:
    """One ascending number a line, small enough for a browser's."""
    return seq * LINES_A_BATCH + n


def line_place(number: int) -> tuple[int, int]:
    """The sequence on LOGS and the place in its batch of the line with that number."""
    return divmod(number, LINES_A_BATCH)


def log_shape(line: LogView) -> dict[str, Any]:
    return numbered(plain(line))


def numbered(line: dict[str, Any]) -> dict[str, Any]:
    """line: a LogView as JSON."""
    line["seq"] = line_number(line["seq"], line["n"])
    return line


def actions(run: dict[str, Any]) -> list[str]:
    """The buttons of a run's page. What happens to a child run happens through the run that called it."""
    state = run["state"]
    found = [] if state in FINAL_RUN_STATES or state == "CANCELLING" else ["cancel"]
    is_child = run.get("origin") == "child"
    if state == "RUNNING" and not is_child and not run.get("pausing_by"):
        found.append("pause")
    if state == "PAUSED" and run.get("waits_for") == "input":
        found.append("resume")
    if not is_child:
        found += ["retry"] if state in RETRIABLE_RUN_STATES else []
        found += ["fork"] if state in FINAL_RUN_STATES else []
    return found
