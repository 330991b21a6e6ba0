"""A flow's parameters: its signature as JSON Schema (draft 2020-12), and JSON values as the types it asks for."""

import contextlib
import inspect
import json
import typing
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import PurePath
from typing import Any

import msgspec

from perfect_sdk.encoding.secrecy import conceal_in
from perfect_sdk.encoding.values import convert, encode, to_builtins
from perfect_sdk.exceptions import FieldError, ParameterBindError, ParameterTypeError, SignatureMismatchError

_REFS = "#/$defs/{name}"
_FORMATS = {datetime: "date-time", date: "date", time: "time", timedelta: "duration"}
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Parameters:
    """What is known of a function's signature; made once a function."""

    def __init__(self, fn: Callable[..., Any], owner: str) -> None:
        self.owner = owner
        self.signature = inspect.signature(fn)
        self.hints = type_hints(fn)
        self._list = list(self.signature.parameters.values())

    def _kind(self, name: str) -> Any:
        return self.hints.get(name, Any)

    # -- arguments ↔ parameters by name

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Every parameter by name, defaults included. Raises ParameterBindError."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ParameterBindError(f"{self.owner}: {error}; its signature is {self.signature}") from None
        bound.apply_defaults()
        return dict(bound.arguments)

    def check_names(self, parameters: Mapping[str, Any]) -> None:
        """Raises SignatureMismatchError naming every unknown and every missing parameter."""
        errors = []
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in self._list):
            known = self.signature.parameters
            errors += [
                FieldError(
                    name, f"there is no parameter of this name; there are: {', '.join(known) or 'none'}"
                )
                for name in parameters
                if name not in known
            ]
        errors += [
            FieldError(p.name, "is missing")
            for p in self._list
            if p.default is p.empty and p.kind not in _VARIABLE and p.name not in parameters
        ]
        if errors:
            raise SignatureMismatchError(f"{self.owner}: {_sentence(errors)}", errors)

    def arguments(self, values: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """How to call the function with these parameters by name."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for p in self._list:
            if p.kind is p.VAR_KEYWORD:
                kwargs.update(values.get(p.name, {}))
                kwargs.update({k: v for k, v in values.items() if k not in self.signature.parameters})
            elif p.name not in values:
                continue
            elif p.kind is p.POSITIONAL_ONLY or (
                p.kind is p.POSITIONAL_OR_KEYWORD and any(q.kind is p.VAR_POSITIONAL for q in self._list)
            ):
                args.append(values[p.name])
            elif p.kind is p.VAR_POSITIONAL:
                args.extend(values[p.name])
            else:
                kwargs[p.name] = values[p.name]
        return args, kwargs

    # -- values

    def convert(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The values as the annotations want them: JSON values and Python objects alike, defaults left out.

        Raises SignatureMismatchError, or ParameterTypeError naming every wrong field.
        """
        self.check_names(parameters)
        values: dict[str, Any] = {}
        errors: list[FieldError] = []
        for name, value in parameters.items():
            try:
                values[name] = self._convert(name, value)
            except (msgspec.ValidationError, ValueError) as error:
                message, _, path = str(error).partition(" - at `$")
                errors.append(FieldError(name + path.rstrip("`"), message))
        if errors:
            raise ParameterTypeError(f"{self.owner}: wrong parameters: {_sentence(errors)}", errors)
        return values

    def _convert(self, name: str, value: Any) -> Any:
        kind = self._kind(name)
        parameter = self.signature.parameters.get(name)
        if kind is Any or (parameter is not None and value is parameter.default):
            return value
        if parameter is not None and parameter.kind in _VARIABLE:
            return value
        if isinstance(kind, type) and type(value) is kind and kind not in (list, dict, tuple, set):
            return value
        try:
            return convert(value, kind)
        except TypeError as error:
            if isinstance(error, msgspec.ValidationError):
                raise
            return value  # msgspec cannot judge such a type: the function has to

    def json(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values as an event keeps them; what has no JSON form is shown by its type."""
        shown = {}
        for name, value in values.items():
            try:
                shown[name] = conceal_in(to_builtins(value))
                encode(shown[name])
            except Exception:
                shown[name] = f"<{type(value).__module__}.{type(value).__qualname__}>"
        return shown

    # -- schema

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the parameters. What has no schema of its own accepts anything."""
        properties: dict[str, Any] = {}
        required: list[str] = []
        definitions: dict[str, Any] = {}
        open_ended = False
        for position, p in enumerate(self._list):
            if p.kind is p.VAR_KEYWORD:
                open_ended = True
                continue
            entry, found = _schema_of(self._kind(p.name))
            if p.kind is p.VAR_POSITIONAL:
                entry = {"type": "array", "items": entry, "default": []}
            definitions |= found
            if p.default is p.empty:
                if p.kind not in _VARIABLE:
                    required.append(p.name)
            else:
                entry = _with_default(entry, p.default)
            properties[p.name] = {"title": p.name, "position": position, **entry}
        schema: dict[str, Any] = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": open_ended,
        }
        if definitions:
            schema["$defs"] = definitions
        return schema


def type_hints(fn: Callable[..., Any]) -> dict[str, Any]:
    """The annotations as types; those that cannot be resolved (imported for type checkers only) are left out."""
    try:
        return typing.get_type_hints(fn, include_extras=True)
    except Exception:
        pass
    hints = {}
    for name, annotation in getattr(fn, "__annotations__", {}).items():
        if isinstance(annotation, str):
            with contextlib.suppress(Exception):
                hints[name] = eval(annotation, getattr(fn, "__globals__", {}))  # noqa: S307  the author's own text
        else:
            hints[name] = annotation
    return hints


def schema_of(kind: Any) -> dict[str, Any]:
    """JSON Schema of one value, its definitions included. Raises TypeError for what is no type; {} accepts anything."""
    if hasattr(kind, "model_json_schema"):
        return kind.model_json_schema()
    schema = msgspec.json.schema(kind, schema_hook=_schema_hook)
    definitions = schema.pop("$defs", {})
    ref = schema.pop("$ref", None)
    if ref is not None:
        name = ref.removeprefix("#/$defs/")
        schema = definitions[name]
        if ref not in json.dumps(definitions):
            del definitions[name]
    return {**schema, "$defs": definitions} if definitions else schema


def _schema_of(kind: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema and the definitions that it refers to."""
    if kind is Any:
        return {}, {}
    if hasattr(kind, "model_json_schema"):
        schema = kind.model_json_schema(ref_template="#/$defs/{model}")
        return schema, schema.pop("$defs", {})
    try:
        (schema,), definitions = msgspec.json.schema_components(
            [kind], schema_hook=_schema_hook, ref_template=_REFS
        )
    except Exception:
        return {}, {}
    return _with_format(schema, kind), definitions


def _schema_hook(kind: Any) -> dict[str, Any]:
    if hasattr(kind, "model_json_schema"):
        return kind.model_json_schema()
    if isinstance(kind, type) and issubclass(kind, PurePath):
        return {"type": "string", "format": "path"}
    raise NotImplementedError


def _with_format(schema: dict[str, Any], kind: Any) -> dict[str, Any]:
    """Msgspec leaves `format` out for times without zone; forms want it all the same."""
    name = _FORMATS.get(kind)
    if name is not None:
        return {**schema, "format": name}
    kinds = typing.get_args(kind)
    if "anyOf" in schema and len(kinds) == len(schema["anyOf"]):
        pairs = zip(schema["anyOf"], kinds, strict=True)
        return {**schema, "anyOf": [_with_format(entry, each) for entry, each in pairs]}
    return schema


def _with_default(entry: dict[str, Any], default: Any) -> dict[str, Any]:
    try:
        value = to_builtins(default)
        encode(value)
    except Exception:
        return entry
    if "$ref" in entry:
        return {"allOf": [entry], "default": value}
    return {**entry, "default": value}


def _sentence(errors: list[FieldError]) -> str:
    return "; ".join(f"{error.field}: {error.message}" for error in errors)
