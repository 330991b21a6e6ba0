"""Checking a run's parameters against its flow's JSON Schema, naming every field that is wrong."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from perfect_schemas.errors import FieldError, InvalidInput
from perfect_schemas.folds.flow import Flow

if TYPE_CHECKING:
    from jsonschema import ValidationError
    from jsonschema.protocols import Validator


class Prepared(NamedTuple):
    """validator: None for a flow that says nothing of its parameters: it takes any. needs_none: it takes none at all, too,
    which most runs give.
    """

    version: str
    validator: "Validator | None"
    needs_none: bool


class Checker:
    """Keeps one compiled validator a flow, for its newest version."""

    def __init__(self) -> None:
        self._prepared: dict[str, Prepared] = {}

    def prepare(self, flow: Flow) -> Prepared:
        kept = self._prepared.get(flow.id)
        if kept is None or kept.version != flow.version:
            validator = validator_of(flow.parameters) if flow.parameters else None
            needs_none = validator is None or validator.is_valid({})
            kept = self._prepared[flow.id] = Prepared(flow.version, validator, needs_none)
        return kept

    def check(self, flow: Flow, parameters: dict[str, Any]) -> None:
        """Raises InvalidInput."""
        _, validator, needs_none = self.prepare(flow)
        if validator is None or (needs_none and not parameters):
            return
        errors = [*unknown_fields(flow.parameters, parameters, at="parameters", what="the flow")]
        for error in validator.iter_errors(parameters):
            errors += field_errors(error, at="parameters")
        if errors:
            errors = sorted(set(errors), key=lambda error: error.field)
            raise InvalidInput(
                f"the parameters of flow {flow.name!r} are wrong: "
                + "; ".join(f"{error.field}: {error.message}" for error in errors),
                errors,
            )


def validator_of(schema: dict[str, Any]) -> "Validator":
    from jsonschema import Draft202012Validator
    from referencing import Registry

    return Draft202012Validator(
        schema,
        registry=Registry(),  # an empty one: without it, references would be fetched from the network
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def unknown_fields(
    schema: dict[str, Any], given: dict[str, Any], *, at: str, what: str
) -> Iterator[FieldError]:
    """Fields that an object schema does not name, unless it says itself what becomes of them."""
    if "additionalProperties" in schema or "patternProperties" in schema or "$ref" in schema:
        return
    known = schema.get("properties", {})
    for name in given:
        if name not in known:
            takes = ", ".join(known) or "none"
            yield FieldError(f"{at}.{name}", f"{what} has no such parameter; it takes: {takes}")


def field_errors(error: "ValidationError", *, at: str) -> Iterator[FieldError]:
    """at: what the errors' paths begin with."""
    path = ".".join([at, *map(str, error.absolute_path)])
    rule: Any = error.validator_value
    value: Any = error.instance
    if error.validator == "required":
        for name in rule:
            if name not in value:
                yield FieldError(f"{path}.{name}", "is required")
    elif error.validator == "additionalProperties" and rule is False:
        schema: Any = error.schema
        known = schema.get("properties", {})
        for name in value:
            if name not in known:
                yield FieldError(f"{path}.{name}", f"is not known here; known: {', '.join(known) or 'none'}")
    else:
        yield FieldError(path, error.message[:300])
