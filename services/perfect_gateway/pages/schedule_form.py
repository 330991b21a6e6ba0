"""The form of a schedule: from a spec to what its fields say, and back."""

from datetime import datetime
from functools import cache
from typing import Any
from zoneinfo import available_timezones

import msgspec

from perfect_gateway.pages.flows import submitted_tags
from perfect_gateway.schedule_change import known_spec
from perfect_runtime.occurrence import zone
from perfect_schemas.errors import FieldError, InvalidInput
from perfect_schemas.schedule import ScheduleSpec

EXAMPLE = ScheduleSpec(kind="cron", cron="30 2 * * *")
UNITS = {"days": 86_400_000, "hours": 3_600_000, "minutes": 60_000, "seconds": 1000}
FIELDS = (
    "flow", "flow_name", "name", "kind", "cron", "every", "unit", "rrule", "at", "anchor", "timezone", "jitter", "catchup",
    "max_lateness", "overlap", "parameters", "configuration", "tags", "deployment",
)  # fmt: skip
_SHOWN_AT = {"interval_ms": "every", "jitter_ms": "jitter", "max_lateness_ms": "max_lateness"}


@cache
def zones() -> list[str]:
    return [
        "UTC",
        *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")),
    ]


def complete(fields: dict[str, str]) -> dict[str, str]:
    """With all fields that there are, and no others."""
    return {name: fields.get(name, "") for name in FIELDS}


def fields_of(spec: ScheduleSpec) -> dict[str, str]:
    unit = next((name for name, ms in UNITS.items() if (spec.interval_ms or 0) % ms == 0), "seconds")
    every = f"{spec.interval_ms / UNITS[unit]:g}" if spec.interval_ms else ""
    return complete(
        {
            "name": spec.name,
            "kind": spec.kind,
            "cron": spec.cron or "",
            "every": every or "15",
            "unit": unit if every else "minutes",
            "rrule": spec.rrule or "",
            "at": _local(spec.at, spec.timezone),
            "anchor": _local(spec.anchor, spec.timezone),
            "timezone": spec.timezone or "",
            "jitter": f"{spec.jitter_ms / 1000:g}" if spec.jitter_ms else "",
            "catchup": spec.catchup,
            "max_lateness": f"{spec.max_lateness_ms / 1000:g}" if spec.max_lateness_ms else "",
            "overlap": spec.overlap,
            "parameters": msgspec.json.format(msgspec.json.encode(spec.parameters), indent=2).decode()
            if spec.parameters
            else "",
            "configuration": spec.configuration,
            "tags": ", ".join(spec.tags),
            "deployment": spec.deployment or "",
        }
    )


def spec_of(fields: dict[str, str], before: ScheduleSpec | None = None) -> ScheduleSpec:
    """before: what it was, of which `active` stays. Raises InvalidInput; what only a calendar knows is not checked here."""
    errors: list[FieldError] = []
    kind, timezone = fields["kind"] or "cron", fields["timezone"] or None
    given: dict[str, Any] = {
        "name": fields["name"] or "default",
        "kind": kind,
        "timezone": timezone,
        "jitter_ms": _number(fields, "jitter", 1000, errors),
        "catchup": fields["catchup"] or None,
        "max_lateness_ms": _number(fields, "max_lateness", 1000, errors),
        "overlap": fields["overlap"] or None,
        "parameters": _parameters(fields["parameters"], errors),
        "configuration": fields["configuration"] or None,
        "tags": submitted_tags(fields["tags"]) or None,
        "deployment": fields["deployment"] or None,
        "active": before.active if before is not None else None,
    }
    match kind:
        case "cron" | "rrule":
            given[kind] = fields[kind] or None
        case "interval":
            given["interval_ms"] = _number(fields, "every", UNITS.get(fields["unit"], 60_000), errors)
        case "once":
            given["at"] = _instant(fields["at"], "at", timezone, errors)
    if kind in ("interval", "rrule") and fields["anchor"]:
        given["anchor"] = _instant(fields["anchor"], "anchor", timezone, errors)
    if errors:
        raise InvalidInput("; ".join(f"{one.field}: {one.message}" for one in errors), errors)
    return known_spec({name: value for name, value in given.items() if value is not None})


def problems_of(error: InvalidInput) -> list[dict[str, str]]:
    """Each at the field of the form that it is about, or on top for the whole form."""
    found = []
    for one in error.errors:
        name, _, rest = one.field.removeprefix("spec.").partition(".")
        field = _SHOWN_AT.get(name, name)
        message = f"{rest}: {one.message}" if rest else one.message
        found.append({"field": field if field in FIELDS else "", "message": message})
    return found or [{"field": "", "message": error.detail}]


def _local(at: datetime | None, timezone: str | None) -> str:
    return "" if at is None else f"{zone.local(at, zone.zone(timezone)):%Y-%m-%dT%H:%M:%S}"


def _instant(text: str, field: str, timezone: str | None, errors: list[FieldError]) -> datetime | None:
    if not text:
        return None
    try:
        return zone.instant_of(datetime.fromisoformat(text), zone.zone(timezone))
    except (ValueError, TypeError) as error:
        about = "timezone" if "time zone" in str(error) else field
        errors.append(FieldError(about, str(error) if about == "timezone" else "must be a day and a time"))
        return None


def _number(fields: dict[str, str], field: str, unit_ms: int, errors: list[FieldError]) -> int | None:
    if not fields[field]:
        return None
    try:
        return round(float(fields[field]) * unit_ms)
    except (ValueError, OverflowError):
        errors.append(FieldError(field, "must be a number"))
        return None


def _parameters(text: str, errors: list[FieldError]) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        errors.append(FieldError("parameters", f"must be a JSON object ({error})"))
        return None
