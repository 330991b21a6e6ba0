"""What somebody sends of a schedule: every name known, and a change of one put together with what it was."""

from collections.abc import Iterable
from typing import Any

import msgspec

from perfect_gateway.problems import invalid
from perfect_schemas.errors import FieldError, InvalidInput
from perfect_schemas.schedule import ScheduleSpec
from perfect_schemas.views import FlowView

TIMES = {"cron": "cron", "interval_ms": "interval", "rrule": "rrule", "at": "once"}
"""What says when → the kind that goes by it."""
WITH_ANCHOR = ("interval", "rrule")
_FIELDS = ScheduleSpec.__struct_fields__


def known_spec(given: dict[str, Any], at: str = "spec.") -> ScheduleSpec:
    """Raises InvalidInput naming what is not known, or of the wrong type. at: what the paths begin with."""
    _refuse(given.keys() - set(_FIELDS), at)
    if "kind" not in given:
        kinds = [kind for field, kind in TIMES.items() if given.get(field) is not None]
        given = {**given, "kind": kinds[0]} if len(kinds) == 1 else given
    try:
        return msgspec.convert(given, ScheduleSpec)
    except msgspec.ValidationError as error:
        found = invalid(error)
        errors = [
            FieldError(at + one.field if one.field else at.rstrip("."), one.message) for one in found.errors
        ]
        raise InvalidInput("; ".join(f"{one.field}: {one.message}" for one in errors), errors) from error


def changed(spec: ScheduleSpec, given: dict[str, Any]) -> ScheduleSpec:
    """given: field → value, None for its default. Raises InvalidInput."""
    if given.get("name", spec.name) != spec.name:
        message = "cannot be changed: by it the schedule is known; make another one and remove this one"
        raise InvalidInput(f"name: {message}", [FieldError("name", message)])
    merged: dict[str, Any] = msgspec.to_builtins(spec)
    kinds = [kind for field, kind in TIMES.items() if given.get(field) is not None]
    kind = given.get("kind") or (kinds[0] if len(kinds) == 1 else spec.kind)
    if kind != spec.kind:
        merged = {name: value for name, value in merged.items() if name not in TIMES and name != "anchor"}
    for name, value in given.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = value
    if kind not in WITH_ANCHOR and "anchor" not in given:
        merged.pop("anchor", None)
    return known_spec({**merged, "kind": kind, "name": spec.name}, at="")


def check_parameters(flow: FlowView, spec: ScheduleSpec) -> None:
    """Raises InvalidInput naming each parameter that the flow requires and that its runs would not have."""
    deployed = next((one.parameters for one in flow.deployments if one.name == spec.deployment), {})
    given = {**(deployed or {}), **spec.parameters}
    missing = [name for name in flow.parameters.get("required", []) if name not in given]
    if missing:
        raise InvalidInput(
            f"every run of flow {flow.name!r} by this schedule would be refused: it requires {', '.join(missing)}",
            [FieldError(f"spec.parameters.{name}", "is required by the flow") for name in missing],
        )


def _refuse(unknown: Iterable[str], at: str) -> None:
    errors = [
        FieldError(at + name, f"is not known; there are {', '.join(_FIELDS)}") for name in sorted(unknown)
    ]
    if errors:
        raise InvalidInput("; ".join(f"{one.field}: {one.message}" for one in errors), errors)
