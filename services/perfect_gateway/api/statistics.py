"""Statistics and clients: projector answers passed on as they are."""

from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get

from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, json, query
from perfect_schemas import queries
from perfect_schemas.views import ClientView, StatisticsView


class StatisticsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """flow, task: id or name. by: a row for each `configuration`, `flow_version` or `day`. days: how far back."""

    flow: str | None = None
    task: str | None = None
    by: Literal["configuration", "flow_version", "day"] | None = None
    days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30


def routes(parts: Parts) -> list[Any]:
    async def passed_on(name: str, wanted: msgspec.Struct) -> Response[bytes]:
        return json(bytes((await parts.asker.query(name, wanted)).value))

    @get(
        "/api/statistics",
        opt={"query": StatisticsQuery, "answers": {200: StatisticsView}, "problems": (404,)},
    )
    async def statistics(request: AnyRequest) -> Response[bytes]:
        """Durations of every task and flow that ran to completion: count, mean, m2, standard deviation, percentiles.

        Of all time, the percentiles of the last `days`. `by` gives the parts instead; of a day those of the last `days`.
        """
        wanted = query(request, StatisticsQuery)
        return await passed_on(
            "statistics",
            queries.Statistics(flow=wanted.flow, task=wanted.task, by=wanted.by, days=wanted.days),
        )

    @get("/api/clients", opt={"answers": {200: list[ClientView]}})
    async def clients() -> Response[bytes]:
        """Workers and scripts that are or were connected."""
        return await passed_on("clients", queries.ClientList())

    return [statistics, clients]
