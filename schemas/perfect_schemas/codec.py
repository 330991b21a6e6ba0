"""The wire format: one JSON object an event, tagged by `type`, readable with any NATS client."""

from typing import Any

import msgspec

from perfect_schemas.envelope import Event
from perfect_schemas.events import AnyEvent

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyEvent)


class _Head(msgspec.Struct):
    id: str = ""
    type: str = ""


_head_decoder = msgspec.json.Decoder(_Head)


class UnknownEvent(msgspec.Struct, frozen=True):
    """A message whose type this version does not know, or that it cannot read. Folds ignore and count it."""

    id: str
    type: str
    reason: str


def encode(value: Any) -> bytes:
    return _encoder.encode(value)


def decode(data: bytes) -> Event | UnknownEvent:
    """Never raises: what cannot be read becomes an UnknownEvent."""
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        try:
            head = _head_decoder.decode(data)
        except msgspec.DecodeError:
            return UnknownEvent(id="", type="", reason=str(error))
        return UnknownEvent(id=head.id, type=head.type, reason=str(error))
