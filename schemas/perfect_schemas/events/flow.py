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


class Deployment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A named way to run a flow: what a run that is started by it gets unless whoever starts it says otherwise.

    name: unique within the flow. parameters: defaults, replaced by name. tags: added to the run's. version: the author's label.
    concurrency_limit: how many of its runs may go at once, in the whole system. enforce_parameter_schema: whether its
    runs' parameters are checked before they start.
    """

    name: str
    parameters: dict[str, Any] = {}
    tags: list[str] = []
    description: str = ""
    version: str | None = None
    concurrency_limit: int | None = None
    enforce_parameter_schema: bool = True


class FlowRegistered(Event, frozen=True, kw_only=True, omit_defaults=True, tag="flow.registered"):
    """A version of a flow became known. Said once per (flow, version): registering it again says nothing.

    parameters: JSON Schema (draft 2020-12) of the flow's parameters.
    entrypoint: where its code is, as the worker that registered it names it; None for a flow without code.
    client_id, client_name: who registered it, None when that was no client (HTTP).
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
    client_id: str | None = None
    client_name: str | None = None


class FlowDeployed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="flow.deployed"):
    """The flow has this deployment from now on, in place of an earlier one of that name."""

    flow_id: str
    deployment: Deployment


class FlowUndeployed(Event, frozen=True, kw_only=True, omit_defaults=True, tag="flow.undeployed"):
    """The flow has no deployment of that name any more. Runs that it has started go on."""

    flow_id: str
    name: str


class FlowRemoved(Event, frozen=True, kw_only=True, omit_defaults=True, tag="flow.removed"):
    """The flow is hidden and its schedules stop; its history stays. Registering it again brings it back."""

    flow_id: str
