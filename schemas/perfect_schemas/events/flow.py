"""What is known of flows. Subject: `perfect.evt.flow.<flow_id>` on DEFS."""

from typing import Any

import msgspec

from perfect_schemas.envelope import Event


class TaskDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task that a flow can reach, known before it runs.

    weight: its share of the run's progress, relative to the others'.
    estimated_time: the author's estimate in ms; used until history has three samples.
    """

    id: str
    name: str
    weight: float = 1.0
    estimated_time: int | None = None
    description: str = ""


class FlowRegistered(Event, frozen=True, kw_only=True, omit_defaults=True, tag="flow.registered"):
    """A version of a flow became known. Said once per (flow, version): registering it again says nothing.

    parameters: JSON Schema (draft 2020-12) of the flow's parameters.
    entrypoint: where its code is, as the worker that registered it names it; None for a flow without code.
    """

    flow_id: str
    name: str
    flow_version: str  # pyright: ignore[reportGeneralTypeIssues]
    description: str = ""
    tags: list[str] = []
    tasks: list[TaskDefinition] = []
    parameters: dict[str, Any] = {}
    entrypoint: str | None = None
    schedule: str | None = None


class FlowRemoved(Event, frozen=True, kw_only=True, omit_defaults=True, tag="flow.removed"):
    """The flow is hidden and its schedules stop; its history stays. Registering it again brings it back."""

    flow_id: str
