"""Python values as JSON and back, by msgspec: builtins, dataclasses, Structs, enums, times, UUIDs, paths, and pydantic
models (which are recognised by what they offer; pydantic itself is not imported).
"""

from pathlib import PurePath
from typing import Any

import msgspec


def _to_json(value: Any) -> Any:
    dump = getattr(type(value), "model_dump", None)
    if dump is not None:
        return value.model_dump(mode="json")
    if isinstance(value, PurePath):
        return str(value)
    as_json = getattr(type(value), "__perfect_json__", None)
    if as_json is not None:
        return as_json(value)
    raise TypeError(f"a {type(value).__module__}.{type(value).__qualname__} has no JSON form")


def from_json(kind: Any, value: Any) -> Any:
    """dec_hook of msgspec: make a `kind` that msgspec does not know."""
    if isinstance(kind, type):
        if isinstance(value, kind):
            return value
        if hasattr(kind, "model_validate"):
            return kind.model_validate(value)
        if issubclass(kind, PurePath) and isinstance(value, str):
            return kind(value)
    raise TypeError(f"expected {getattr(kind, '__name__', kind)}, got {type(value).__name__}")


encode = msgspec.json.Encoder(enc_hook=_to_json).encode
encode_ordered = msgspec.json.Encoder(enc_hook=_to_json, order="deterministic").encode


def to_builtins(value: Any) -> Any:
    """The JSON value of `value`. Raises TypeError when it has none."""
    return msgspec.to_builtins(value, enc_hook=_to_json, str_keys=True)


def convert(value: Any, kind: Any, *, strict: bool = False) -> Any:
    """Raises msgspec.ValidationError when it does not fit, TypeError when msgspec cannot judge the type."""
    return msgspec.convert(value, kind, strict=strict, dec_hook=from_json, str_keys=True)
