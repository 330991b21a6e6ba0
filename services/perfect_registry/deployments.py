"""What may be said of a flow's deployments: pure."""

from datetime import datetime

from perfect_schemas.errors import FieldError, NotFound
from perfect_schemas.events.flow import Deployment, FlowDeployed, FlowUndeployed
from perfect_schemas.folds.flow import Flow

SOURCE = "registry"
NAME_LENGTH = 200
MOST = 200  # of one flow


def deploy(
    flow: Flow | None, flow_id: str, wanted: Deployment, *, event_id: str, now: datetime
) -> tuple[FlowDeployed, ...]:
    """Nothing when the flow has exactly this deployment already."""
    if flow is not None and not flow.hidden and flow.deployments.get(wanted.name) == wanted:
        return ()
    return (FlowDeployed(id=event_id, at=now, source=SOURCE, flow_id=flow_id, deployment=wanted),)


def undeploy(flow: Flow | None, name: str, *, event_id: str, now: datetime) -> tuple[FlowUndeployed, ...]:
    """Raises NotFound."""
    if flow is None or name not in flow.deployments:
        raise NotFound(missing(flow, name))
    return (FlowUndeployed(id=event_id, at=now, source=SOURCE, flow_id=flow.id, name=name),)


def missing(flow: Flow | None, name: str) -> str:
    if flow is None:
        return "there is no such flow"
    known = ", ".join(sorted(flow.deployments)) or "none"
    return f"flow {flow.name!r} has no deployment {name!r}; it has: {known}"


def errors_of(wanted: list[Deployment]) -> list[FieldError]:
    """What is wrong with the deployments of a registration."""
    errors: list[FieldError] = []
    if len(wanted) > MOST:
        errors.append(FieldError("deployments", f"are more than {MOST}"))
    names: set[str] = set()
    for n, one in enumerate(wanted[:MOST]):
        field = f"deployments.{n}"
        if (
            not one.name.strip()
            or len(one.name) > NAME_LENGTH
            or not one.name.isprintable()
            or "/" in one.name
        ):
            errors.append(
                FieldError(f"{field}.name", f"must have 1 to {NAME_LENGTH} printable characters and no '/'")
            )
        if one.name in names:
            errors.append(FieldError(f"{field}.name", f"{one.name!r} is there twice"))
        names.add(one.name)
        if one.concurrency_limit is not None and one.concurrency_limit < 1:
            errors.append(FieldError(f"{field}.concurrency_limit", "must be 1 or more"))
        errors += [
            FieldError(f"{field}.tags", f"a tag must have 1 to {NAME_LENGTH} characters")
            for tag in one.tags
            if not tag.strip() or len(tag) > NAME_LENGTH
        ]
    return errors
