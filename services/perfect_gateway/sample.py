"""An example of anything that the OpenAPI document describes, made from its schema: what a name usually means, or else the
first value that the type allows. So every route has one, and none can say what the type does not.
"""

from typing import Any

_RUN_ID = "019d36ce-1a80-7abc-8def-000000000002"
_FLOW_ID = "0f9d6c0e-7f0b-5a55-8d55-1c7a1c6b2a11"
_NOW = "2026-05-02T00:30:00Z"
_NEVER: frozenset[str] = frozenset(  # null where it may be: of a run that went well
    {"error", "waiting_for", "performance_warning", "cursor", "ref", "outlook", "waits_for", "input_schema",
     "eta_p50", "eta_p90", "pausing_by", "origin_run_id", "parent_run_id", "rrule", "interval_ms", "anchor", "key",
     "from_key", "forecast", "hidden_at", "expected_ms", "day", "scheduled_for", "idempotency_key"}
)  # fmt: skip
_NAMED: dict[str, list[Any]] = {
    "id": [_RUN_ID], "run_id": [_RUN_ID], "flow_id": [_FLOW_ID], "other_id": ["019d36ce-1a80-7abc-8def-000000000003"],
    "artifact_id": ["019d36ce-1a80-7abc-8def-000000000004"], "schedule_id": ["1f0c6c1e-0b5c-5c1a-9a0e-3d2f6e1b7a55"],
    "client_id": ["019d36ce-1a80-7abc-8def-000000000005"], "task_id": ["5a1f0c9e-2b7d-5c35-9d55-2c7a1c6b2a22"],
    "task_run_id": ["019d36ce-1a80-7abc-8def-000000000006"], "flow": ["etl"], "flow_name": ["etl"], "name": ["etl"],
    "task_name": ["load"], "task_key": ["load-0"], "deployment": ["nightly"], "client_name": ["worker-1"],
    "served_by": [["worker-1"]], "text": ["etl"], "tags": [["prod"]], "tag": ["prod"], "state": ["COMPLETED"],
    "configuration": ["release", "development"], "parameters": [{"rows": 100_000}, []], "progress": [100.0],
    "duration_ms": [1250], "queued_ms": [4], "attempt": [1], "epoch": [1], "priority": [0], "slots": [4],
    "file": ["example_flows.py"], "logs": [["loaded 100,000 rows"], 100], "log": ["loaded 100,000 rows"],
    "message": ["loaded 100,000 rows"], "level": [20, "INFO"], "logger": ["etl"], "version": ["1"],
    "flow_version": ["1"], "status": ["ready"], "detail": [""], "pid": [4711], "cron": ["30 2 * * *"],
    "timezone": ["Europe/Rome"], "kind": ["cron"], "query": ["SELECT flow_name, count(*) FROM runs GROUP BY ALL"],
    "columns": [["flow_name", "count"]], "types": [["VARCHAR", "BIGINT"]], "rows": [[["etl", 28]]], "row_count": [1],
    "value": [42], "result": [{"rows": 100_000}], "input": [{"approved": True}], "data": [{"rows": 100_000}],
    "description": [""], "by": ["api"], "verb": ["cancel"], "since": ["2026-05-01T00:00:00Z"], "until": [_NOW],
    "schedule": ["30 2 * * *"],
}  # fmt: skip
_OF: dict[str, Any] = {
    "ClientView.state": "CONNECTED", "ClientView.name": "worker-1", "TaskBody.name": "load", "TaskDefinition.name": "load",
    "TaskRunView.name": "load", "VariableView.name": "region", "VariableView.value": "eu", "SecretView.name": "db-password",
    "LimitView.name": "database", "SavedQuery.name": "runs a flow", "SavedQuery.text": "SELECT count(*) FROM runs",
    "QueryBody.text": "SELECT count(*) FROM runs", "HealthEntry.name": "engine", "Deployment.name": "nightly",
    "ScheduleSpec.name": "nightly", "DeploymentView.name": "nightly", "DeploymentView.state": "active",
    "ScheduleSpec.kind": "cron", "ErrorBody.kind": "builtins:ValueError", "SqlTable.name": "runs",
    "RunView.name": None, "TriggerBody.name": None, "TriggerBody.scheduled_for": None, "BackfillBody.dry_run": True,
}  # fmt: skip
_FORMATS = {"date-time": _NOW, "date": _NOW[:10]}
_DEEP = 6


def sample(schema: dict[str, Any], components: dict[str, Any], name: str = "") -> Any:
    """Pure. name: of the field whose value it is."""
    return _sample(schema, components, name, 0)


def _sample(schema: dict[str, Any], components: dict[str, Any], name: str, depth: int) -> Any:
    if "$ref" in schema:
        kind = schema["$ref"].rpartition("/")[2]
        return _object(kind, components[kind], components, depth + 1)
    if "anyOf" in schema:
        parts = [part for part in schema["anyOf"] if part.get("type") != "null"]
        if len(parts) < len(schema["anyOf"]) and (name in _NEVER or depth > _DEEP):
            return None
        named = next((part for part in parts if _named(part, name) is not None), parts[0])
        return _sample(named, components, name, depth)
    if "const" in schema:
        return schema["const"]
    named = _named(schema, name)
    if named is not None:
        return named
    if "enum" in schema:
        return schema.get("default", schema["enum"][0])
    return _plain(schema, components, name, depth)


def _plain(schema: dict[str, Any], components: dict[str, Any], name: str, depth: int) -> Any:
    match schema.get("type"):
        case "string":
            return _FORMATS.get(schema.get("format", ""), schema.get("default", ""))
        case "integer" | "number":
            return schema.get("default", max(schema.get("minimum", 0), 1))
        case "boolean":
            return schema.get("default", False)
        case "array":
            items = schema.get("items")
            return [_sample(items, components, "", depth + 1)] if items and depth <= _DEEP else []
        case "object":
            return {}
    return _NAMED.get(name, [None])[0]


def _object(kind: str, schema: dict[str, Any], components: dict[str, Any], depth: int) -> Any:
    if "properties" not in schema:
        return _sample(schema, components, "", depth)
    return {
        name: _OF[f"{kind}.{name}"] if f"{kind}.{name}" in _OF else _sample(shape, components, name, depth)
        for name, shape in schema["properties"].items()
    }


def _named(schema: dict[str, Any], name: str) -> Any:
    """What the name usually means, when that is of the type."""
    if "$ref" in schema or "anyOf" in schema:
        return None
    kinds: dict[str, tuple[type, ...]] = {
        "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "array": (list,), "object": (dict,)
    }  # fmt: skip
    for value in _NAMED.get(name, ()):
        if "enum" in schema:
            if value in schema["enum"]:
                return value
        elif isinstance(value, kinds.get(schema.get("type", ""), ())) and _items_fit(schema, value):
            return value
    return None


def _items_fit(schema: dict[str, Any], value: Any) -> bool:
    items = schema.get("items", {})
    return not isinstance(value, list) or (
        not {"$ref", "anyOf"} & items.keys() and (items.get("type") in (None, "string") or value != ["prod"])
    )
