"""Deployments: the named ways to run flows, as `flow.serve(name=…)` makes them, of all flows."""

import asyncio
from datetime import datetime
from typing import Any, Literal

import msgspec
from litestar import Response, delete, get, post

from perfect_bus.presence import present
from perfect_gateway.parts import Parts
from perfect_gateway.schedules import ShownSchedule, all_shown
from perfect_gateway.wire import AnyRequest, json, query
from perfect_schemas import commands, queries
from perfect_schemas.commands import PauseSchedule, ResumeSchedule, ScheduleView
from perfect_schemas.errors import Conflicting, NotFound
from perfect_schemas.events.flow import Deployment
from perfect_schemas.views import FlowView

BY = "api"
PATH = "/api/deployments/{flow_id:str}/{deployment:str}"
DeploymentState = Literal["active", "paused", "unscheduled"]
EXAMPLE = {
    "flow_id": "2f3c6a5e-4a58-5d8e-9a3e-0a7f4a5c9d11",
    "flow_name": "etl",
    "name": "nightly",
    "state": "active",
    "next_at": "2026-05-02T00:30:00Z",
    "served_by": ["worker-1"],
    "description": "",
    "version": None,
    "parameters": {"rows": 100_000},
    "tags": ["prod"],
    "concurrency_limit": None,
    "enforce_parameter_schema": True,
    "schedules": [],
}


class DeploymentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """flow: just those of this one, by id or name."""

    flow: str | None = None


class DeploymentView(msgspec.Struct, frozen=True, kw_only=True):
    """state: paused: all of its schedules are; unscheduled: it has none. next_at: when it runs by itself the next time.
    served_by: the workers that serve it now, by name; whoever serves its flow runs it, too.
    """

    flow_id: str
    flow_name: str
    name: str
    state: DeploymentState
    next_at: datetime | None
    served_by: list[str]
    description: str
    version: str | None
    parameters: dict[str, Any]
    tags: list[str]
    concurrency_limit: int | None
    enforce_parameter_schema: bool
    schedules: list[ShownSchedule]


async def deployments_of(parts: Parts, flow: str | None = None) -> list[DeploymentView]:
    """By flow and name. flow: of that one, by id or name."""
    (flows, _), schedules, clients = await asyncio.gather(
        parts.asker.value("flows", queries.FlowList(), list[FlowView]),
        all_shown(parts.asker, flow),
        present(parts.bus),
    )
    return [
        _view(
            one,
            deployment,
            [
                schedule
                for schedule in schedules
                if (schedule.flow_id, schedule.spec.deployment) == (one.id, deployment.name)
            ],
            sorted(
                client.name for client in clients if f"{one.name}/{deployment.name}" in client.deployments
            ),
        )
        for one in flows
        if flow in (None, one.id, one.name)
        for deployment in sorted(one.deployments, key=lambda each: each.name)
    ]


async def deployment_of(parts: Parts, request: AnyRequest) -> DeploymentView:
    """Raises NotFound."""
    flow, name = str(request.path_params["flow_id"]), str(request.path_params["deployment"])
    known = await deployments_of(parts, flow)
    for one in known:
        if one.name == name:
            return one
    named = ", ".join(one.name for one in known) or "none"
    raise NotFound(f"flow {flow!r} has no deployment {name!r}; it has: {named}")


def _view(
    flow: FlowView, deployment: Deployment, schedules: list[ShownSchedule], served_by: list[str]
) -> DeploymentView:
    is_paused = all(one.paused for one in schedules)
    return DeploymentView(
        flow_id=flow.id,
        flow_name=flow.name,
        state="unscheduled" if not schedules else "paused" if is_paused else "active",
        next_at=min((one.next_at for one in schedules if one.next_at and not one.paused), default=None),
        served_by=served_by,
        schedules=schedules,
        **msgspec.structs.asdict(deployment),
    )


def routes(parts: Parts) -> list[Any]:
    async def turn(
        request: AnyRequest, verb: str, kind: type[PauseSchedule | ResumeSchedule]
    ) -> Response[bytes]:
        found = await deployment_of(parts, request)
        if not found.schedules:
            raise Conflicting(
                f"deployment {found.flow_name}/{found.name} has no schedules: there is nothing to {verb}"
            )
        await asyncio.gather(
            *(
                parts.asker.command(
                    "registry", f"{verb}_schedule", kind(schedule_id=one.id, by=BY), ScheduleView
                )
                for one in found.schedules
            )
        )
        return json(await deployment_of(parts, request))

    @get(
        "/api/deployments",
        opt={
            "query": DeploymentQuery,
            "answers": {200: list[DeploymentView]},
            "problems": (404,),
            "examples": {200: [EXAMPLE]},
        },
    )
    async def deployments(request: AnyRequest) -> Response[bytes]:
        """All deployments by flow and name, each with its schedules and who serves it."""
        return json(await deployments_of(parts, query(request, DeploymentQuery).flow))

    @get(PATH, opt={"answers": {200: DeploymentView}, "examples": {200: EXAMPLE}})
    async def deployment(request: AnyRequest) -> Response[bytes]:
        """One deployment, by its flow's id or name and its own name."""
        return json(await deployment_of(parts, request))

    @delete(PATH, status_code=204, opt={"answers": {204: None}})
    async def remove_deployment(request: AnyRequest) -> None:
        """Forget a deployment, and stop its schedules. Runs that it has started go on."""
        wanted = commands.RemoveDeployment(
            flow=request.path_params["flow_id"], name=request.path_params["deployment"]
        )
        await parts.asker.command("registry", "undeploy", wanted, commands.Done)

    @post(f"{PATH}/pause", status_code=200, opt={"answers": {200: DeploymentView}, "problems": (409,)})
    async def pause_deployment(request: AnyRequest) -> Response[bytes]:
        """Pause all schedules of a deployment; it can still be started. 409 when it has none."""
        return await turn(request, "pause", PauseSchedule)

    @post(f"{PATH}/resume", status_code=200, opt={"answers": {200: DeploymentView}, "problems": (409,)})
    async def resume_deployment(request: AnyRequest) -> Response[bytes]:
        """Have all schedules of a deployment fire again. 409 when it has none."""
        return await turn(request, "resume", ResumeSchedule)

    return [deployments, deployment, remove_deployment, pause_deployment, resume_deployment]
