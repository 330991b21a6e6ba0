"""What every service answers with."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from perfect_schemas.codec import encode
from perfect_schemas.errors import Problem


class Done(msgspec.Struct, frozen=True):
    """The command was carried out, now or before."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every answer to a command or query: a value or a problem. seq: the EVENTS sequence the value is as of."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    problem: Problem | None = None
    seq: int | None = None

    @classmethod
    def of(cls, value: Any, seq: int | None = None) -> "Reply":
        return cls(value=msgspec.Raw(encode(value)), seq=seq)


class Health(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer on `perfect.qry.health.<service>`.

    lag: messages that the service has still to read from the bus. lag_ms: age of the oldest of them.
    """

    name: str
    status: Literal["starting", "ready", "degraded", "stopping", "missing"]
    lag: int = 0
    lag_ms: int = 0
    detail: str = ""
    pid: int | None = None
    started_at: datetime | None = None
    metrics: dict[str, float] = {}
