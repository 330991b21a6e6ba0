"""Checking what a paused run is resumed with against the JSON Schema that it asked for."""

from typing import Any

from perfect_engine.parameters import field_errors, unknown_fields, validator_of
from perfect_schemas.errors import FieldError, InvalidInput

_PLAIN = {"array", "boolean", "integer", "number", "string"}


def given_input(schema: dict[str, Any] | None, given: Any) -> Any:
    """What was given. For a plain type `{"value": 41}` says the same as 41, as programs written for Prefect have it."""
    is_plain = schema is not None and schema.get("type") in _PLAIN
    return given["value"] if is_plain and isinstance(given, dict) and given.keys() == {"value"} else given


def check_input(schema: dict[str, Any] | None, given: Any) -> None:
    """Raises InvalidInput naming every field that is wrong. Without a schema anything will do."""
    if schema is None:
        return
    errors: list[FieldError] = []
    if isinstance(given, dict) and "properties" in schema:
        errors += unknown_fields(schema, given, at="input", what="it")
    for error in validator_of(schema).iter_errors(given):
        errors += field_errors(error, at="input")
    if errors:
        errors = sorted(set(errors), key=lambda error: error.field)
        raise InvalidInput(
            "the input does not fit what the run waits for: "
            + "; ".join(f"{error.field}: {error.message}" for error in errors),
            errors,
        )
