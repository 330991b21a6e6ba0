"""Results as events keep them, and back.

JSON by msgspec is the default; the function's return annotation decides what comes back on a replay, so that a
dataclass is a dataclass again. Without annotation builtins come back as JSON has them: a tuple as a list, a
datetime as a string, NaN as None. `"pickle"` is opt-in and keeps any picklable value.
"""

import base64
import pickle
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from perfect_schemas.envelope import StoredValue
from perfect_schemas.streams import CLAIM_CHECK_BYTES
from perfect_sdk.elsewhere import names_of
from perfect_sdk.encoding.secrecy import holds
from perfect_sdk.encoding.values import convert, encode
from perfect_sdk.exceptions import NotSupported

Serializer = Literal["json", "pickle"]
_STATE = b'"$state"'
NOTHING = StoredValue(value=msgspec.Raw(b"null"), size_bytes=4)


class NotStorable(Exception):
    """A value that its serializer cannot take. The message names the type."""


def serializer_of(name: object, what: str) -> Serializer:
    if name in (None, "json"):
        return "json"
    if name == "pickle":
        return "pickle"
    raise NotSupported(f'{what}: there is no serializer {name!r}; use "json" (the default) or "pickle"')


def encode_result(value: Any, serializer: Serializer) -> bytes:
    """Raises NotStorable."""
    try:
        data = encode(value) if serializer == "json" else pickle.dumps(value, protocol=5)
    except Exception as error:
        kind = type(value)
        raise NotStorable(f"{kind.__module__}.{kind.__qualname__}: {error}") from error
    if holds(data):
        raise NotStorable("it holds a secret that this run has loaded")
    return data


def inline(data: bytes, serializer: Serializer) -> StoredValue:
    value = data if serializer == "json" else b'"' + base64.b64encode(data) + b'"'
    return StoredValue(serializer=serializer, value=msgspec.Raw(value), size_bytes=len(data))


def is_large(data: bytes) -> bool:
    return len(data) >= CLAIM_CHECK_BYTES


def by_reference(ref: str, data: bytes, serializer: Serializer) -> StoredValue:
    return StoredValue(serializer=serializer, ref=ref, size_bytes=len(data))


def decode_result(stored: StoredValue, kind: Any, load: Callable[[StoredValue], bytes]) -> Any:
    """`kind`: the return annotation, Any when there is none. `load` is called for a value kept by reference."""
    if stored.serializer == "pickle":
        data = load(stored) if stored.ref else base64.b64decode(msgspec.json.decode(stored.value, type=str))
        return pickle.loads(data)  # noqa: S301  it is the run's own, from the run's own bus, and was asked for
    data = load(stored) if stored.ref else bytes(stored.value)
    value = msgspec.json.decode(data)
    if _STATE in data:
        from perfect_sdk.encoding.state_json import restored

        return restored(value)
    if kind is Any:
        return value
    try:
        return convert(value, kind)
    except Exception:  # the annotation does not tell the truth: what was returned is what comes back
        return value


__getattr__ = names_of(__name__)
