"""The trigger form: a flow's JSON Schema to fields, and what a browser submits back to parameters.

The form decodes; it does not validate. Whether a value is legal is decided where the run is triggered, and its problems
come back to the fields. What cannot even be decoded (`abc` as an integer) is a problem found here.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "p."
_MISSING = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One parameter as an input element."""

    name: str
    kind: str  # text, textarea, number, checkbox, select, date, json
    label: str
    hint: str
    type_name: str
    text: str  # what stands in the input: the submitted text, else the default
    required: bool
    attributes: dict[str, str]  # min, max, step, minlength, maxlength, pattern
    options: tuple[tuple[str, str], ...]  # of a select: (value, label)
    error: str | None


def fields(
    schema: dict[str, Any],
    values: Mapping[str, str | Sequence[str]] | None,
    problems: Sequence[Mapping[str, str]],
) -> list[Field]:
    """The fields of the form, required ones as the schema orders them. `values` is the submitted form, if any."""
    errors = {problem["field"]: problem["message"] for problem in reversed(list(problems))}
    required = set(schema.get("required", ()))
    made = []
    for name, raw in schema.get("properties", {}).items():
        shape, nullable = _shape(raw, schema)
        kind = _kind(shape, nullable=nullable)
        default = raw.get("default", shape.get("default", _MISSING))
        submitted = _last(values, PREFIX + name) if values is not None else None
        text = submitted if submitted is not None else _text(default, kind)
        made.append(
            Field(
                name=name,
                kind=kind,
                label=raw.get("title") or name.replace("_", " "),
                hint=raw.get("description") or shape.get("description") or "",
                type_name=_type_name(shape, nullable=nullable),
                text=text,
                required=name in required and kind != "checkbox",
                attributes=_attributes(shape, kind, text),
                options=_options(shape, nullable=nullable, optional=name not in required),
                error=errors.get(name),
            )
        )
    return made


def form_parameters(
    schema: dict[str, Any], form: Mapping[str, str | Sequence[str]]
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Decode a submitted form to `(parameters, problems)`.

    A parameter that the form does not mention is left out, so that the flow's default holds; so is an empty one that is
    not required and no string. An empty nullable one is `None`. A repeated field counts by its last value (a
    checkbox is a hidden `false` before a `true`).
    """
    parameters: dict[str, Any] = {}
    problems: list[dict[str, str]] = []
    required = set(schema.get("required", ()))
    for name, raw in schema.get("properties", {}).items():
        text = _last(form, PREFIX + name)
        if text is None:
            continue
        shape, nullable = _shape(raw, schema)
        try:
            value = _decode(text, shape, nullable=nullable, required=name in required)
        except ValueError as error:
            problems.append({"field": name, "message": str(error)})
            continue
        if value is not _MISSING:
            parameters[name] = value
    return parameters, problems


def form_values(schema: dict[str, Any], parameters: Mapping[str, Any]) -> dict[str, str]:
    """What `form_parameters` would read as these parameters: the form as it was when somebody submitted them."""
    values = {}
    for name, raw in schema.get("properties", {}).items():
        if name in parameters:
            shape, nullable = _shape(raw, schema)
            values[PREFIX + name] = _text(parameters[name], _kind(shape, nullable=nullable))
    return values


def input_form(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a form for one value: itself for an object with named properties, else one with the field `input`."""
    if schema.get("type") == "object" and "properties" in schema:
        return schema
    value = {key: part for key, part in schema.items() if key != "$defs"}
    form = {"type": "object", "properties": {"input": value}, "required": ["input"]}
    return {**form, "$defs": schema["$defs"]} if "$defs" in schema else form


def _last(form: Mapping[str, str | Sequence[str]] | None, key: str) -> str | None:
    value = None if form is None else form.get(key)
    if value is None or isinstance(value, str):
        return value
    return value[-1] if value else None


def _shape(raw: dict[str, Any], root: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Follow `$ref` and take `null` out of a union: the schema to draw, and whether `null` is allowed."""
    shape, nullable = raw, False
    for _ in range(16):  # a schema may refer to itself
        reference = shape.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            target: Any = root
            for step in reference[2:].split("/"):
                target = (
                    target.get(step.replace("~1", "/").replace("~0", "~"), {})
                    if isinstance(target, dict)
                    else {}
                )
            shape = target
            continue
        union = shape.get("anyOf") or shape.get("oneOf")
        if isinstance(union, list):
            members = [member for member in union if member.get("type") != "null"]
            nullable = nullable or len(members) < len(union)
            if len(members) == 1:
                shape = members[0]
                continue
        break
    types = shape.get("type")
    if isinstance(types, list):
        nullable = nullable or "null" in types
        rest = [kind for kind in types if kind != "null"]
        shape = {**shape, "type": rest[0] if len(rest) == 1 else rest}
    return shape, nullable


def _kind(shape: dict[str, Any], *, nullable: bool) -> str:
    if "enum" in shape or "const" in shape:
        return "select"
    match shape.get("type"):
        case "boolean":
            return "select" if nullable else "checkbox"
        case "integer" | "number":
            return "number"
        case "string":
            if shape.get("format") == "date":
                return "date"
            return "textarea" if shape.get("maxLength", 0) > 200 else "text"
        case _:
            return "json"


def _type_name(shape: dict[str, Any], *, nullable: bool) -> str:
    if "enum" in shape or "const" in shape:
        name = "choice"
    else:
        kind = shape.get("type")
        name = (
            "JSON"
            if not isinstance(kind, str)
            else {"array": "JSON list", "object": "JSON object"}.get(kind, kind)
        )
        name = shape.get("format") or name
    return f"{name}, optional" if nullable else name


def _text(value: Any, kind: str) -> str:
    if value is _MISSING or (value is None and kind != "json"):
        return ""
    if isinstance(value, str) and kind != "json":
        return value
    return json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, dict) else None)


def _attributes(shape: dict[str, Any], kind: str, text: str) -> dict[str, str]:
    names = {"number": {"minimum": "min", "maximum": "max"}}.get(
        kind, {"minLength": "minlength", "maxLength": "maxlength", "pattern": "pattern"}
    )
    found = {
        html: str(shape[key])
        for key, html in names.items()
        if key in shape and kind in {"number", "text", "textarea"}
    }
    if kind == "number":
        step = shape.get("multipleOf", 1 if shape.get("type") == "integer" else None)
        found["step"] = str(step) if step and _on_grid(step, found.get("min", ""), text) else "any"
    return found


def _on_grid(step: float, *texts: str) -> bool:
    """Whether all are multiples of `step`. A browser counts steps from `min`, or else from the text that the field was
    made with, not from 0 as JSON Schema does: from 2.5 in steps of 1 it would refuse 3.
    """
    try:
        return all((Decimal(text) / Decimal(str(step))) % 1 == 0 for text in texts if text)
    except ArithmeticError:
        return False


def _choices(shape: dict[str, Any]) -> list[Any]:
    if "const" in shape:
        return [shape["const"]]
    return (
        list(shape["enum"]) if "enum" in shape else ([True, False] if shape.get("type") == "boolean" else [])
    )


def _choice_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _options(shape: dict[str, Any], *, nullable: bool, optional: bool) -> tuple[tuple[str, str], ...]:
    options = [(_choice_text(value), _choice_text(value)) for value in _choices(shape) if value is not None]
    if options and (nullable or optional):
        options.insert(0, ("", "none" if nullable else "default"))
    return tuple(options)


def _decode(text: str, shape: dict[str, Any], *, nullable: bool, required: bool) -> Any:
    """One field's text as a value; `_MISSING` leaves the parameter out. Raises `ValueError` with what to tell."""
    kind = _kind(shape, nullable=nullable)
    if kind == "checkbox":
        return text.lower() in {"true", "on", "1"}
    if not text.strip():
        if nullable:
            return None
        if kind in {"text", "textarea"} and not required:
            return text
        if required:
            raise ValueError("A value is required.")
        return _MISSING
    if kind == "select":
        for value in _choices(shape):
            if _choice_text(value) == text:
                return value
        raise ValueError(f"Choose one of {', '.join(_choice_text(value) for value in _choices(shape))}.")
    if kind == "number":
        return _decode_number(text.strip(), whole=shape.get("type") == "integer")
    if kind == "json":
        try:
            return json.loads(text)
        except ValueError as error:
            raise ValueError(f"This is not valid JSON: {error}.") from None
    return text.replace("\r\n", "\n")


def _decode_number(text: str, *, whole: bool) -> int | float:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a {'whole number' if whole else 'number'}.") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number.")
    if whole:
        if not value.is_integer():
            raise ValueError(f"{text!r} is not a whole number.")
        return int(value)
    return value
