"""What belongs to one flow: its versions, two of them compared, its deployments."""

import asyncio
from typing import Any

import msgspec
from litestar import Response, delete, get

from perfect_gateway.parts import Parts
from perfect_gateway.shapes import deployment_shape
from perfect_gateway.version_diff import CURRENT, PREVIOUS, VersionDiff, chosen, diff
from perfect_gateway.wire import AnyRequest, json, query
from perfect_schemas import commands, queries
from perfect_schemas.events.flow import Deployment
from perfect_schemas.views import FlowView, StatisticsView

EVER_DAYS = 3650


class VersionsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """a, b: a version, the beginning of one, `current` or `previous`."""

    a: str = PREVIOUS
    b: str = CURRENT


async def versions_of(parts: Parts, flow: str) -> list[commands.FlowVersion]:
    """Newest first. Raises NotFound."""
    return await parts.asker.command(
        "registry", "versions", commands.ShowVersions(flow=flow), list[commands.FlowVersion]
    )


async def compared(parts: Parts, flow: str, a: str, b: str) -> VersionDiff:
    """Raises NotFound, InvalidInput."""
    (found, _), versions = await asyncio.gather(
        parts.asker.value("flow", queries.FlowDetail(flow=flow), FlowView), versions_of(parts, flow)
    )
    statistics, _ = await parts.asker.value(
        "statistics", queries.Statistics(flow=found.id, by="flow_version", days=EVER_DAYS), StatisticsView
    )
    return diff(found.id, found.name, chosen(versions, a), chosen(versions, b), statistics)


def routes(parts: Parts) -> list[Any]:
    @get("/api/engine/flows/{flow_id:str}/versions", opt={"answers": {200: list[commands.FlowVersion]}})
    async def versions(request: AnyRequest) -> Response[bytes]:
        """The flow's versions, the current one first: when each was seen first, by which client, what it changed."""
        return json(await versions_of(parts, request.path_params["flow_id"]))

    @get(
        "/api/engine/flows/{flow_id:str}/versions/diff",
        opt={"query": VersionsQuery, "answers": {200: VersionDiff}},
    )
    async def version_diff(request: AnyRequest) -> Response[bytes]:
        """How long runs and tasks took in two versions, by all that completed in either."""
        wanted = query(request, VersionsQuery)
        return json(await compared(parts, request.path_params["flow_id"], wanted.a, wanted.b))

    @get("/api/engine/flows/{flow_id:str}/deployments", opt={"answers": {200: list[Deployment]}})
    async def deployments(request: AnyRequest) -> Response[bytes]:
        """The named ways to run the flow, as `flow.serve(name=…)` has made them."""
        wanted = queries.FlowDetail(flow=request.path_params["flow_id"])
        found, _ = await parts.asker.value("flow", wanted, FlowView)
        return json([deployment_shape(one) for one in found.deployments])

    @delete(
        "/api/engine/flows/{flow_id:str}/deployments/{deployment:str}",
        status_code=204,
        opt={"answers": {204: None}},
    )
    async def undeploy(request: AnyRequest) -> None:
        """Forget a deployment. Runs that it has started go on."""
        wanted = commands.RemoveDeployment(
            flow=request.path_params["flow_id"], name=request.path_params["deployment"]
        )
        await parts.asker.command("registry", "undeploy", wanted, commands.Done)

    return [versions, version_diff, deployments, undeploy]
