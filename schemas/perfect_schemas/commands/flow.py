"""Flows, and what a worker says of them when it registers them."""

from typing import Any

import msgspec

from perfect_schemas.events.flow import TaskDefinition


class RegisterFlow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`perfect.cmd.registry.register`. Answer: Registered. Ids of tasks may be empty: the registry makes them."""

    name: str
    flow_version: str = ""
    description: str = ""
    tags: list[str] = []
    tasks: list[TaskDefinition] = []
    parameters: dict[str, Any] = {}
    entrypoint: str | None = None
    schedule: str | None = None


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    flow_id: str
    flow_version: str
    new: bool


class RemoveFlow(msgspec.Struct, frozen=True, kw_only=True):
    """`perfect.cmd.registry.remove`. Answer: Done. Conflicting while runs are live (the engine is asked)."""

    flow_id: str
