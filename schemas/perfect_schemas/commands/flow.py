"""Flows, and what a worker says of them when it registers them."""

from datetime import datetime
from typing import Any

import msgspec

from perfect_schemas.events.flow import Deployment, TaskDefinition
from perfect_schemas.schedule import ScheduleSpec


class RegisterFlow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.register`. Answer: Registered. Ids of tasks may be empty: the registry makes them.

    deployments: are made, or take the place of those of their names; others stay.
    schedules: all that the code gives the flow itself, as in `DeclareSchedules`; None says nothing of schedules.
    client_id, client_name: who registers it.
    """

    name: str
    flow_version: str = ""
    description: str = ""
    tags: list[str] = []
    tasks: list[TaskDefinition] = []
    parameters: dict[str, Any] = {}
    entrypoint: str | None = None
    schedule: str | None = None
    deployments: list[Deployment] = []
    schedules: list[ScheduleSpec] | None = None
    client_id: str | None = None
    client_name: str | None = None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    flow_id: str
    flow_version: str
    new: bool


class RemoveFlow(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.remove`. Answer: Done. Conflicting while runs are live (the engine is asked)."""

    flow_id: str


class RemoveDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.undeploy`. Answer: Done. flow: id or name. NotFound when there is no such deployment."""

    flow: str
    name: str


class ShowVersions(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.versions`. Answer: list[FlowVersion], newest first. flow: id or name."""

    flow: str


class FlowVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a flow. first_seen_at: when it was registered first, by client_name (None: over HTTP); last_seen_at:
    when it was the newest one again, for example after a rollback. is_current: what new runs are checked against.
    parameters: names and JSON types. changed: what differs from the version before it.
    """

    version: str
    first_seen_at: datetime
    last_seen_at: datetime
    is_current: bool
    client_id: str | None = None
    client_name: str | None = None
    entrypoint: str | None = None
    tasks: list[str] = []
    parameters: list[str] = []
    changed: list[str] = []
