"""What the charts of a flow and of a task are drawn from: few columns, as lists side by side."""

from typing import Annotated, Any

import msgspec
from litestar import Response, get

from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, json, query
from perfect_schemas.charts import FlowHistory, FlowHistoryView, TaskHistory, TaskHistoryView

Runs = Annotated[int, msgspec.Meta(ge=1, le=1000)]
Days = Annotated[int, msgspec.Meta(ge=1, le=3650)]


class HistoryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """runs: so many of the last. days: how far back outcomes by day, or the histogram, go."""

    runs: Runs = 200
    days: Days = 30


def routes(parts: Parts) -> list[Any]:
    @get(
        "/api/engine/flows/{flow_id:str}/history",
        opt={"query": HistoryQuery, "answers": {200: FlowHistoryView}, "problems": (404,)},
    )
    async def flow_history(request: AnyRequest) -> Response[bytes]:
        """How a flow's last runs ended and how long they and their tasks took. By the flow's id or name.

        Lists side by side, the oldest run first; times are ms since 1970, durations ms.
        """
        wanted = query(request, HistoryQuery)
        asked = FlowHistory(flow=request.path_params["flow_id"], runs=wanted.runs, days=wanted.days)
        return json(bytes((await parts.asker.query("flow_history", asked)).value))

    @get(
        "/api/statistics/tasks/{task_id:str}",
        opt={"query": HistoryQuery, "answers": {200: TaskHistoryView}, "problems": (404,)},
    )
    async def task_history(request: AnyRequest) -> Response[bytes]:
        """How long a task took: its last completions, a histogram, and its statistics by flow version."""
        wanted = query(request, HistoryQuery)
        asked = TaskHistory(task=request.path_params["task_id"], runs=wanted.runs, days=wanted.days)
        return json(bytes((await parts.asker.query("task_history", asked)).value))

    return [flow_history, task_history]
