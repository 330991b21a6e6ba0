"""`/statistics`: how long everything takes. Of many flows, the tasks only when they are asked for."""

import asyncio
from typing import Any, Literal

import msgspec
from litestar import Response, get

from perfect_gateway import shapes
from perfect_gateway.pages.page import html
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, query
from perfect_schemas import queries
from perfect_schemas.views import StatisticsView

FEW_FLOWS = 20


class StatisticsPage(msgspec.Struct, frozen=True, kw_only=True):
    flow: str | None = None
    tasks: Literal["all"] | None = None


async def statistics_context(parts: Parts, wanted: StatisticsPage) -> dict[str, Any]:
    """What `pages/statistics.html` takes."""
    whole = queries.Statistics(flow=wanted.flow)
    if wanted.flow is None and wanted.tasks is None:
        found, daily = await _with_trends(parts, queries.Statistics(of="flows"))
        if len(found.flows) <= FEW_FLOWS:
            found, daily = await _with_trends(parts, whole)
    else:
        found, daily = await _with_trends(parts, whole)
    trends: dict[str, list[dict[str, Any]]] = {}
    for one in [*daily.flows, *daily.tasks]:
        trends.setdefault(one.id, []).append({"day": one.day, "p50_ms": one.p50_ms, "p95_ms": one.p95_ms})
    return {
        "statistics": shapes.plain(found),
        "trends": trends,
        "only_flows": bool(found.flows) and not found.tasks and len(found.flows) > FEW_FLOWS,
        "flow_name": found.flows[0].flow_name if wanted.flow and found.flows else None,
        "version": parts.version,
    }


async def _with_trends(parts: Parts, wanted: queries.Statistics) -> tuple[StatisticsView, StatisticsView]:
    by_day = msgspec.structs.replace(wanted, by="day")
    (found, _), (daily, _) = await asyncio.gather(
        parts.asker.value("statistics", wanted, StatisticsView),
        parts.asker.value("statistics", by_day, StatisticsView),
    )
    return found, daily


def routes(parts: Parts) -> list[Any]:
    @get("/statistics")
    async def statistics(request: AnyRequest) -> Response[bytes]:
        """`?flow=<id or name>`: of that flow alone. `?tasks=all`: every task, also when there are many flows."""
        return html(
            "pages/statistics.html", **await statistics_context(parts, query(request, StatisticsPage))
        )

    return [statistics]
