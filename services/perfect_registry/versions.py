"""A flow's versions, from its events: pure."""

from collections.abc import Iterable
from typing import Any

import msgspec

from perfect_schemas.codec import UnknownEvent
from perfect_schemas.commands import FlowVersion
from perfect_schemas.envelope import Event
from perfect_schemas.events.flow import FlowRegistered

_COMPARED = ("description", "tags", "tasks", "parameters", "schedule")


def versions(events: Iterable[Event | UnknownEvent]) -> list[FlowVersion]:
    """Newest first: by when each was registered last."""
    found: dict[str, FlowVersion] = {}
    before: FlowRegistered | None = None
    for event in events:
        if not isinstance(event, FlowRegistered):
            continue
        known = found.pop(event.flow_version, None)
        if known is not None:
            found[event.flow_version] = msgspec.structs.replace(known, last_seen_at=event.at)
        else:
            found[event.flow_version] = FlowVersion(
                version=event.flow_version,
                first_seen_at=event.at,
                last_seen_at=event.at,
                is_current=False,
                client_id=event.client_id,
                client_name=event.client_name,
                entrypoint=event.entrypoint,
                tasks=[task.name for task in event.tasks],
                parameters=parameter_texts(event.parameters),
                changed=changes(before, event),
            )
        before = event
    newest = list(reversed(found.values()))
    if newest:
        newest[0] = msgspec.structs.replace(newest[0], is_current=True)
    return newest


def changes(before: FlowRegistered | None, after: FlowRegistered) -> list[str]:
    """What of the definition differs; nothing for the first version, `code` when it is the code alone."""
    if before is None:
        return []
    return [name for name in _COMPARED if getattr(before, name) != getattr(after, name)] or ["code"]


def parameter_texts(schema: dict[str, Any]) -> list[str]:
    """`day: string` for each parameter; `day: string = "today"` for one that has a default."""
    texts = []
    for name, one in schema.get("properties", {}).items():
        kind = (
            one.get("type") or one.get("$ref", "any").rpartition("/")[2] if isinstance(one, dict) else "any"
        )
        kind = " | ".join(map(str, kind)) if isinstance(kind, list) else kind
        default = f" = {_json(one['default'])}" if isinstance(one, dict) and "default" in one else ""
        texts.append(f"{name}: {kind}{default}")
    return texts


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
