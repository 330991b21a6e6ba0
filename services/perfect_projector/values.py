"""Between Python's values and DuckDB's: timestamps without zone (UTC), JSON as text."""

from datetime import UTC, datetime
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()


def timestamp(at: datetime | None) -> datetime | None:
    """As the file keeps it: UTC without a zone. A time without a zone is taken as UTC."""
    if at is None:
        return None
    zone = at.tzinfo
    if zone is None:
        return at
    return at.replace(tzinfo=None) if zone is UTC else at.astimezone(UTC).replace(tzinfo=None)


def utc(at: datetime | None) -> datetime | None:
    """As a row of a batch carries it: in UTC. A time without a zone is taken as UTC."""
    if at is None or at.tzinfo is UTC or at.tzinfo is None:
        return at
    return at.astimezone(UTC)


def instant(at: datetime | None) -> datetime | None:
    """The way back."""
    return None if at is None else at.replace(tzinfo=UTC)


def text(value: Any) -> str:
    """JSON text."""
    return _encoder.encode(value).decode()


def text_or_none(value: Any) -> str | None:
    return None if value is None else _encoder.encode(value).decode()
