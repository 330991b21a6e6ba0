"""`/statistics`: how long everything takes. Of many flows, the tasks only when they are asked for.

`/statistics/tasks/{id}`: one task.
"""

from typing import Any, Literal

import msgspec
from litestar import Response, get

from perfect_gateway.pages.page import html
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, query
from perfect_schemas import queries
from perfect_schemas.charts import TaskHistory

FEW_FLOWS = 20


class StatisticsPage(msgspec.Struct, frozen=True, kw_only=True):
    flow: str | None = None
    tasks: Literal["all"] | None = None


async def statistics_context(parts: Parts, wanted: StatisticsPage) -> dict[str, Any]:
    """What `pages/statistics.html` takes."""
    of_all = wanted.flow is None and wanted.tasks is None
    found = await _asked(
        parts, queries.Statistics(flow=wanted.flow, of="flows" if of_all else None, trends=True)
    )
    if of_all and len(found["flows"]) <= FEW_FLOWS:
        found = await _asked(parts, queries.Statistics(trends=True))
    flows, tasks = found["flows"], found["tasks"]
    return {
        "statistics": found,
        "trends": found.get("trends", {}),
        "only_flows": bool(flows) and not tasks and len(flows) > FEW_FLOWS,
        "flow_name": flows[0]["flow_name"] if wanted.flow and flows else None,
        "version": parts.version,
    }


async def _asked(parts: Parts, wanted: queries.Statistics) -> dict[str, Any]:
    reply = await parts.asker.query("statistics", wanted)
    return msgspec.json.decode(reply.value)


def routes(parts: Parts) -> list[Any]:
    @get("/statistics")
    async def statistics(request: AnyRequest) -> Response[bytes]:
        """`?flow=<id or name>`: of that flow alone. `?tasks=all`: every task, also when there are many flows."""
        return html(
            "pages/statistics.html", **await statistics_context(parts, query(request, StatisticsPage))
        )

    @get("/statistics/tasks/{task_id:str}")
    async def task_statistics(request: AnyRequest) -> Response[bytes]:
        """One task: trend, histogram, versions compared."""
        asked = TaskHistory(task=request.path_params["task_id"], runs=1)
        reply = await parts.asker.query("task_history", asked)
        task = msgspec.json.decode(reply.value)
        return html("pages/task_statistics.html", task=task, version=parts.version)

    return [statistics, task_statistics]
