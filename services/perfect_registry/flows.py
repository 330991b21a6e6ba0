"""What may be registered and what is said of it: pure."""

import hashlib
import math
from datetime import datetime
from typing import Any

import msgspec

from perfect_registry import deployments
from perfect_schemas import ids
from perfect_schemas.commands import RegisterFlow
from perfect_schemas.errors import FieldError, NotFound, refuse
from perfect_schemas.events.flow import FlowRegistered, FlowRemoved, TaskDefinition
from perfect_schemas.folds.flow import Flow

SOURCE = "registry"
NAME_LENGTH = 200
VERSION_LENGTH = 64


def register(
    flow: Flow | None, command: RegisterFlow, *, event_id: str, now: datetime
) -> tuple[FlowRegistered, ...]:
    """Nothing when this version is the flow's newest one. A version from before (a rollback), or of a flow that was
    removed, is said again: it is what new runs are checked against from now on.
    """
    version = command.flow_version or version_of(command)
    if flow is not None and flow.version == version and not flow.hidden:
        return ()
    flow_id = ids.flow_id(command.name)
    return (
        FlowRegistered(
            id=event_id,
            at=now,
            source=SOURCE,
            flow_id=flow_id,
            name=command.name,
            flow_version=version,
            description=command.description,
            tags=command.tags,
            tasks=with_ids(flow_id, command.tasks),
            parameters=command.parameters,
            entrypoint=command.entrypoint,
            schedule=command.schedule,
            client_id=command.client_id,
            client_name=command.client_name,
        ),
    )


def remove(flow: Flow | None, flow_id: str, *, event_id: str, now: datetime) -> tuple[FlowRemoved, ...]:
    """Raises NotFound. Removing what is removed says nothing."""
    if flow is None:
        raise NotFound(f"there is no flow {flow_id}")
    if flow.hidden:
        return ()
    return (FlowRemoved(id=event_id, at=now, source=SOURCE, flow_id=flow_id),)


def version_of(command: RegisterFlow) -> str:
    """First 12 hex digits of the SHA-256 over the definition, for a flow that comes without a version."""
    definition = msgspec.json.encode(
        [command.description, command.tags, command.tasks, command.parameters, command.schedule],
        order="sorted",
    )
    return hashlib.sha256(definition).hexdigest()[:12]


def with_ids(flow_id: str, tasks: list[TaskDefinition]) -> list[TaskDefinition]:
    """One task a name, the first, each with the id that follows from its name."""
    by_name: dict[str, TaskDefinition] = {}
    for task in tasks:
        by_name.setdefault(task.name, msgspec.structs.replace(task, id=ids.task_id(flow_id, task.name)))
    return list(by_name.values())


def check(command: RegisterFlow) -> None:
    """Raises InvalidInput naming every wrong field."""
    errors = _name_errors("name", command.name)
    if len(command.flow_version) > VERSION_LENGTH or not command.flow_version.isprintable():
        errors.append(
            FieldError("flow_version", f"is longer than {VERSION_LENGTH} characters or not printable")
        )
    for n, task in enumerate(command.tasks):
        errors += _name_errors(f"tasks.{n}.name", task.name)
        if not (task.weight > 0 and math.isfinite(task.weight)):
            errors.append(FieldError(f"tasks.{n}.weight", "must be greater than 0"))
        if task.estimated_time is not None and task.estimated_time < 0:
            errors.append(FieldError(f"tasks.{n}.estimated_time", "must be 0 or more milliseconds"))
    errors += [error for n, tag in enumerate(command.tags) for error in _name_errors(f"tags.{n}", tag)]
    errors += _schema_errors(command.parameters)
    errors += deployments.errors_of(command.deployments)
    refuse(f"flow {command.name[:NAME_LENGTH]!r} cannot be registered", errors)


def _name_errors(field: str, name: str) -> list[FieldError]:
    if not name.strip():
        return [FieldError(field, "must not be empty")]
    if len(name) > NAME_LENGTH:
        return [FieldError(field, f"is longer than {NAME_LENGTH} characters")]
    if not name.isprintable():
        return [FieldError(field, "must not contain control characters or line breaks")]
    return []


def _schema_errors(schema: dict[str, Any]) -> list[FieldError]:
    if not schema:
        return []
    import jsonschema

    if (ref := _foreign_ref(schema)) is not None:
        return [
            FieldError(
                "parameters", f"refers to {ref!r}: only references inside the schema ('#/…') are followed"
            )
        ]
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as error:
        where = ".".join(["parameters", *map(str, error.absolute_path)])
        return [FieldError(where, f"is no valid JSON Schema: {error.message}")]
    if schema.get("type", "object") != "object":
        return [FieldError("parameters.type", "must be 'object': a flow's parameters have names")]
    return []


def _foreign_ref(schema: Any) -> str | None:
    """The first reference that leads out of the schema: nothing is ever fetched to check a parameter."""
    if isinstance(schema, dict):
        ref = schema.get("$ref")
        if isinstance(ref, str) and not ref.startswith("#"):
            return ref
        return next((found for value in schema.values() if (found := _foreign_ref(value)) is not None), None)
    if isinstance(schema, list):
        return next((found for value in schema if (found := _foreign_ref(value)) is not None), None)
    return None
