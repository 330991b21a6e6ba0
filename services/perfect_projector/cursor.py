"""Where a page ends, as an opaque token: the key of its last row."""

import base64
import binascii
from typing import Any

import msgspec

from perfect_schemas.errors import FieldError, InvalidInput


def encode(*key: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def decode(token: str, kind: type) -> Any:
    """The key, as the tuple type `kind`. Raises InvalidInput for what `encode` did not make."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)), type=kind)
    except (msgspec.DecodeError, binascii.Error, UnicodeError, ValueError) as error:
        detail = "cursor is not the `next` of a page: leave it out to begin with the first"
        raise InvalidInput(detail, [FieldError("cursor", detail)]) from error
