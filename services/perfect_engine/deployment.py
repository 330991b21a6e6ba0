"""What a run gets from the deployment that it is started by: pure."""

import msgspec

from perfect_schemas.commands import TriggerRun
from perfect_schemas.errors import NotFound
from perfect_schemas.folds.flow import Flow


def split(flow: str) -> tuple[str, str] | None:
    """`etl/nightly` → ("etl", "nightly"). A deployment's name has no slash, a flow's may have."""
    name, slash, deployment = flow.rpartition("/")
    return (name, deployment) if slash and name and deployment else None


def applied(command: TriggerRun, flow: Flow) -> TriggerRun:
    """With the deployment's parameters and tags as defaults. Raises NotFound when the flow has no such deployment."""
    if command.deployment is None:
        return command
    found = flow.deployments.get(command.deployment)
    if found is None:
        known = ", ".join(sorted(flow.deployments)) or "none"
        raise NotFound(
            f"flow {flow.name!r} has no deployment {command.deployment[:200]!r}; it has: {known}. "
            "A deployment is made by flow.serve(name=…)"
        )
    return msgspec.structs.replace(
        command,
        parameters=found.parameters | command.parameters,
        tags=list(dict.fromkeys([*found.tags, *command.tags])),
    )


def checks_parameters(command: TriggerRun, flow: Flow) -> bool:
    if command.is_checked:
        return False
    found = flow.deployments.get(command.deployment) if command.deployment is not None else None
    return found is None or found.enforce_parameter_schema
