"""The streams, as data. Times in seconds, sizes in bytes; None means no limit."""

from typing import Literal

import msgspec

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
CLAIM_CHECK_BYTES = 256 * 1024
REPLY_CHUNK_BYTES = 512 * 1024
DUPLICATE_WINDOW_S = 45.0  # the server keeps the id of every message of it in memory: docs/adr/0017


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    subjects: list[str]
    retention: Literal["limits", "workqueue"] = "limits"
    discard: Literal["old", "new"] = "old"
    max_age_s: float | None = None
    max_bytes: int | None = None
    allow_schedules: bool = False
    allow_batched: bool = False


DEFS = Stream(
    name="DEFS",
    subjects=[
        "perfect.evt.flow.*",
        "perfect.evt.schedule.*",
        "perfect.evt.limit.*",
        "perfect.evt.variable.*",
        "perfect.evt.query.*",
        "perfect.evt.client.*",
        "perfect.evt.process.*",
        "perfect.evt.alert.*",
        "perfect.evt.audit.*",
    ],
)
EVENTS = Stream(
    name="EVENTS",
    subjects=["perfect.evt.run.*", "perfect.evt.task.*"],
    discard="new",
    max_bytes=20 * 1024**3,
)
LOGS = Stream(
    name="LOGS", subjects=["perfect.log.*"], max_age_s=3 * 86400.0, max_bytes=5 * 1024**3, allow_batched=True
)
WORK = Stream(name="WORK", subjects=["perfect.work.*.*"], retention="workqueue")
TIMERS = Stream(name="TIMERS", subjects=["perfect.timer.*.*", "perfect.tick.*"], allow_schedules=True)

ALL = [DEFS, EVENTS, LOGS, WORK, TIMERS]
