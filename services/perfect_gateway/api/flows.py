"""Flows: list, show, register, hide."""

from typing import Any

import msgspec
from litestar import Response, delete, get, post

from perfect_gateway.parts import Parts
from perfect_gateway.shapes import flow_shape
from perfect_gateway.wire import AnyRequest, body, json, query
from perfect_schemas import commands, ids, queries
from perfect_schemas.events.flow import TaskDefinition
from perfect_schemas.views import FlowView


class FlowQuery(msgspec.Struct, frozen=True, kw_only=True):
    """hidden: also those that were removed."""

    hidden: bool = False


class TaskBody(msgspec.Struct, frozen=True, kw_only=True):
    """estimated_time: in ms."""

    name: str
    weight: float = 1.0
    estimated_time: int | None = None
    description: str = ""


class FlowBody(msgspec.Struct, frozen=True, kw_only=True):
    """parameters: JSON Schema of the flow's parameters. schedule: a cron line."""

    name: str
    description: str = ""
    tags: list[str] = []
    tasks: list[TaskBody] = []
    parameters: dict[str, Any] = {}
    version: str = ""
    schedule: str | None = None


class RegisteredFlow(msgspec.Struct, frozen=True, kw_only=True):
    """new: whether this version was unknown before."""

    id: str
    name: str
    version: str
    new: bool


def routes(parts: Parts) -> list[Any]:
    @get("/api/engine/flows", opt={"query": FlowQuery, "answers": {200: list[FlowView]}})
    async def flows(request: AnyRequest) -> Response[bytes]:
        """All flows by name."""
        wanted = query(request, FlowQuery)
        found, _ = await parts.asker.value("flows", queries.FlowList(hidden=wanted.hidden), list[FlowView])
        return json([flow_shape(flow) for flow in found])

    @get("/api/engine/flows/{flow_id:str}", opt={"answers": {200: FlowView}})
    async def flow(request: AnyRequest) -> Response[bytes]:
        """One flow, by id or name."""
        wanted = queries.FlowDetail(flow=request.path_params["flow_id"])
        found, _ = await parts.asker.value("flow", wanted, FlowView)
        return json(flow_shape(found))

    @post(
        ["/api/engine/register", "/api/flows"],
        status_code=201,
        opt={"body": FlowBody, "answers": {201: RegisteredFlow}, "problems": (409,)},
    )
    async def register(request: AnyRequest) -> Response[bytes]:
        """Make a flow known, or a new version of one. Saying it again changes nothing."""
        wanted = await body(request, FlowBody)
        registered = await parts.asker.command(
            "registry",
            "register",
            commands.RegisterFlow(
                name=wanted.name,
                flow_version=wanted.version,
                description=wanted.description,
                tags=wanted.tags,
                tasks=[
                    TaskDefinition(
                        id="",
                        name=task.name,
                        weight=task.weight,
                        estimated_time=task.estimated_time,
                        description=task.description,
                    )
                    for task in wanted.tasks
                ],
                parameters=wanted.parameters,
                schedule=wanted.schedule,
            ),
            commands.Registered,
        )
        answer = RegisteredFlow(
            id=registered.flow_id, name=wanted.name, version=registered.flow_version, new=registered.new
        )
        return json(answer, status=201, headers={"location": f"/api/engine/flows/{registered.flow_id}"})

    @delete(
        "/api/engine/flows/{flow_id:str}", status_code=204, opt={"answers": {204: None}, "problems": (409,)}
    )
    async def remove(request: AnyRequest) -> None:
        """Hide a flow, by id or name, and stop its schedules. Its history stays. 409 while runs of it are live."""
        name = request.path_params["flow_id"]
        flow_id = name if ids.is_id(name) else ids.flow_id(name)
        await parts.asker.command("registry", "remove", commands.RemoveFlow(flow_id=flow_id), commands.Done)

    return [flows, flow, register, remove]
