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


def decode(messages: Iterable[Message]) -> Decoded:
    return [(message, codec.decode(message.data)) for message in messages]


def event_row(message: Message, event: Event | UnknownEvent) -> Row:
    if isinstance(event, UnknownEvent):
        payload, at, kind, task_run_id = _readable(message.data), None, event.type, None
    else:
        payload, at, kind = message.data.decode(), utc(event.at), event.type
        task_run_id = event.task_run_id
    if at is None:
        at = _EPOCH + timedelta(microseconds=message.stored_ns // 1000)
    run_id = message.subject.rpartition(".")[2] if message.stream == "EVENTS" else None
    return message.stream, message.seq, at, kind, run_id, task_run_id, payload


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
