"""What is wrong with a command, field by field."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from perfect_schemas.errors import FieldError, InvalidInput

TEXT_LENGTH = 200
_AT = re.compile(r"(.*) - at `\$\.?(.*)`").fullmatch


@contextmanager
def of_message(what: str) -> Iterator[None]:
    """Around decoding: msgspec says `… - at `$.configuration``, the caller hears the field as it knows it."""
    try:
        yield
    except msgspec.ValidationError as error:
        found = _AT(str(error))
        message, field = found.groups() if found else (str(error), "")
        raise InvalidInput(f"{what}: {error}", [FieldError(field, message)]) from error
