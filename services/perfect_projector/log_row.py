"""The rows of the log: events as they came, and lines."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec

from perfect_projector.batch import Decoded, Message, Row
from perfect_projector.values import text, utc
from perfect_schemas import codec
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.events import LogBatch

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_LEVEL = 255
_names: dict[type[Event], str] = {}  # as they stand on the wire: `Event.type` looks that up each time


def decode(messages: Iterable[Message]) -> Decoded:
    return [(message, codec.decode(message.data)) for message in messages]


def event_row(message: Message, event: Event | UnknownEvent, run_id: str | None) -> Row:
    stream, seq, _, data, stored_ns = message
    if isinstance(event, UnknownEvent):
        at = _EPOCH + timedelta(microseconds=stored_ns // 1000)
        return stream, seq, at, event.type, run_id, None, _readable(data)
    kind = type(event)
    name = _names.get(kind)
    if name is None:
        name = _names[kind] = event.type
    return stream, seq, utc(event.at), name, run_id, event.task_run_id, data.decode()


def _readable(data: bytes) -> str:
    """The text of a message that is no event; what is no JSON at all, as one JSON string."""
    try:
        msgspec.json.decode(data)
        return data.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text(data.decode("utf-8", "replace"))


def line_rows(message: Message, event: LogBatch) -> list[Row]:
    """In the order of the columns in `append_logs`."""
    run_id = message.subject.rpartition(".")[2]
    return [
        (
            message.seq,
            n,
            utc(line.at),
            run_id,
            line.task_run_id,
            line.task_key,
            min(max(line.level, 0), _MAX_LEVEL),
            line.logger,
            line.message,
        )
        for n, line in enumerate(event.lines)
    ]
