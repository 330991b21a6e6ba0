"""What every event carries, and the values that several events share."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with a zone, so that any two can be compared: one without is not readable as an event."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """The envelope. `at` is UTC with microseconds; durations in events are integer milliseconds.

    id: UUIDv7, made by whoever says the event; also the message's deduplication id.
    source: which part said it: "engine", "registry", "worker:<client id>" …
    cause: the id of the event or command that led to it.
    epoch: which claim of the run it belongs to, from 1; an event of an older epoch than the run's counts only
        if it stands before the new claim on the stream.
    attempt: which try of the task it belongs to, from 1.
    """

    id: str
    at: Instant
    source: str
    run_id: str | None = None
    task_run_id: str | None = None
    task_key: str | None = None
    epoch: int | None = None
    attempt: int | None = None
    flow_version: str | None = None
    cause: str | None = None

    @property
    def type(self) -> str:
        return self.__struct_config__.tag  # type: ignore[return-value]


Configuration = Literal["development", "debug", "release"]


class StoredValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A result as an event keeps it: inline, or by reference to the object store from 256 KiB on.

    value: the JSON value itself for the serializer "json", a base64 JSON string for "pickle".
    ref: the name of the object in `RESULTS` that holds the encoded bytes.
    size_bytes: of the encoded value.
    """

    serializer: Literal["json", "pickle"] = "json"
    value: msgspec.Raw = msgspec.Raw(b"null")
    ref: str | None = None
    size_bytes: int = 0


class ErrorInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An exception as an event keeps it.

    kind: "module:qualified.name" of its class, so that a replay raises the original class when it is importable.
    args: the exception's arguments as JSON values, None when they cannot be encoded. (Not msgspec.Raw: a union of
        Raw and None decodes nothing but null.)
    variables: local variables of the failing frame (configuration `debug` only), already redacted.
    """

    kind: str
    message: str
    traceback: str = ""
    args: list[Any] | None = None
    variables: dict[str, str] | None = None


_clock: Callable[[], datetime] | None = None


def utc_now() -> datetime:
    return datetime.now(UTC) if _clock is None else _clock()


def set_clock(clock: Callable[[], datetime] | None) -> None:
    """For users' tests of flows: what `utc_now` answers from now on; None: the time."""
    global _clock
    _clock = clock
