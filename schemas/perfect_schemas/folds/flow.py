"""What is known of one flow, from the events on `perfect.evt.flow.<flow_id>`."""

from datetime import datetime
from typing import Any

import msgspec

from perfect_schemas.envelope import Event
from perfect_schemas.events.flow import (
    Deployment,
    FlowDeployed,
    FlowRegistered,
    FlowRemoved,
    FlowUndeployed,
    TaskDefinition,
)


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of a flow. hidden: removed by a person; history stays. deployments: by name."""

    id: str
    name: str
    version: str
    last_seq: int
    created_at: datetime
    registered_at: datetime
    description: str = ""
    tags: list[str] = []
    tasks: list[TaskDefinition] = []
    parameters: dict[str, Any] = {}
    entrypoint: str | None = None
    schedule: str | None = None
    hidden: bool = False
    deployments: dict[str, Deployment] = {}


def evolve(flow: Flow | None, event: Event, seq: int) -> Flow | None:
    if isinstance(event, FlowRegistered):
        return Flow(
            id=event.flow_id,
            name=event.name,
            version=event.flow_version,
            last_seq=seq,
            created_at=flow.created_at if flow else event.at,
            registered_at=event.at,
            description=event.description,
            tags=event.tags,
            tasks=event.tasks,
            parameters=event.parameters,
            entrypoint=event.entrypoint,
            schedule=event.schedule,
            deployments=flow.deployments if flow else {},
        )
    if flow is None:
        return None
    if isinstance(event, FlowDeployed):
        deployments = flow.deployments | {event.deployment.name: event.deployment}
        return msgspec.structs.replace(flow, deployments=deployments, last_seq=seq)
    if isinstance(event, FlowUndeployed):
        deployments = {name: one for name, one in flow.deployments.items() if name != event.name}
        return msgspec.structs.replace(flow, deployments=deployments, last_seq=seq)
    if isinstance(event, FlowRemoved):
        return msgspec.structs.replace(flow, hidden=True, deployments={}, last_seq=seq)
    return flow
