"""Identity: who makes which id, and how.

Runs, task runs, events and clients carry a UUIDv7 (RFC 9562) in the dashed lower-case form: time-ordered ids
keep the read model fast without an index. Flows and tasks carry a UUIDv5 of their names, so that two workers
that register the same flow mean the same one.
"""

import functools
import hashlib
import os
import re
import struct
import threading
import time
import uuid
from datetime import UTC, datetime

NAMESPACE = uuid.UUID("6f1d3d5e-7a0c-5c1b-9d43-5f0e6a6b7c21")

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII).fullmatch

_lock = threading.Lock()
_last_ms = 0
_counter = 0
_random: list[
    int
] = []  # drawn in one call of the kernel, during each of which other threads may take over the interpreter


def _drawn() -> int:
    """64 random bits. Under the lock."""
    if not _random:
        _random.extend(struct.unpack("128Q", os.urandom(1024)))
    return _random.pop()


def uuid7() -> str:
    """A new UUIDv7; ids made in one process ascend strictly (12-bit counter, RFC 9562 section 6.2)."""
    global _last_ms, _counter
    with _lock:
        drawn = _drawn()
        ms = time.time_ns() // 1_000_000
        if ms > _last_ms:
            _last_ms = ms
            _counter = _drawn() & 0x7FF
        else:
            _counter += 1
            if _counter > 0xFFF:
                _last_ms += 1
                _counter = 0
            ms = _last_ms
        counter = _counter
    return _format(ms, counter, drawn)


os.register_at_fork(after_in_child=_random.clear)  # two processes must not draw the same


def uuid7_for(at: datetime, *names: str) -> str:
    """The UUIDv7 that stands for `names` at the instant `at`: the same arguments always give the same id."""
    digest = hashlib.sha256("\x1f".join(names).encode()).digest()
    ms = int(at.timestamp() * 1000)
    return _format(ms, int.from_bytes(digest[:2], "big") & 0xFFF, int.from_bytes(digest[2:10], "big"))


def _format(ms: int, rand_a: int, rand_b: int) -> str:
    value = (ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b & (1 << 62) - 1
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def made_at(text: str) -> datetime | None:
    """When the UUIDv7 was made, as it says itself; None for another kind of id. text: in the dashed form."""
    if text[14:15] != "7":
        return None
    return datetime.fromtimestamp(int(text[:8] + text[9:13], 16) / 1000, tz=UTC)


def flow_id(name: str) -> str:
    return str(uuid.uuid5(NAMESPACE, name))


def process_id(host: str, file: str) -> str:
    """The id of the client process that runs `file`, a path relative to the workflows folder of the host."""
    return str(uuid.uuid5(NAMESPACE, f"process\x1f{host}\x1f{file}"))


def task_id(flow: str, name: str) -> str:
    """The id of the task called `name` of the flow with the id `flow`."""
    return str(uuid.uuid5(uuid.UUID(flow), name))


def limit_id(name: str) -> str:
    """The id of the named limit: names are users' words and do not fit into a subject."""
    return str(uuid.uuid5(NAMESPACE, f"limit\x1f{name}"))


def schedule_id(flow: str, name: str) -> str:
    """The id of the schedule called `name` of the flow with the id `flow`."""
    return str(uuid.uuid5(uuid.UUID(flow), f"schedule\x1f{name}"))


def scheduled_run_id(schedule: str, instant: datetime) -> str:
    """The id of the run that the schedule with the id `schedule` starts for `instant`, the same whenever it is asked for."""
    return uuid7_for(instant, schedule, instant.astimezone(UTC).isoformat())


def query_id(name: str) -> str:
    """The id of the SQL query that is kept under that name."""
    return str(uuid.uuid5(NAMESPACE, f"query\x1f{name}"))


def child_run_id(parent_run_id: str, task_key: str) -> str:
    """The id of the child run that `parent_run_id` starts at `task_key`: the same on every replay."""
    digest = hashlib.sha256(f"{parent_run_id}\x1f{task_key}".encode()).digest()
    return _format(
        _ms_of(parent_run_id), int.from_bytes(digest[:2], "big") & 0xFFF, int.from_bytes(digest[2:10], "big")
    )


@functools.lru_cache(256)
def _ms_of(text: str) -> int:
    """When the UUIDv7 was made. Kept, since a run makes ids for each of its tasks."""
    return uuid.UUID(text).int >> 80


def task_run_id(run_id: str, task_key: str) -> str:
    """The id of the task run at `task_key`: one per (run, key), the same on every replay, in the run's order of time."""
    return child_run_id(run_id, "task\x1f" + task_key)


def artifact_id(run_id: str, place: str) -> str:
    """The id of the artifact that the code of the run makes at `place`: the same on every replay."""
    return child_run_id(run_id, "artifact\x1f" + place)


def set_id(run_id: str, place: str) -> str:
    """The id of the command by which the code of the run sets a variable at `place`: the same on every replay."""
    return child_run_id(run_id, "set\x1f" + place)


def variable_id(name: str) -> str:
    """The id of the variable called `name`."""
    return str(uuid.uuid5(NAMESPACE, f"variable\x1f{name}"))


def is_id(text: str) -> bool:
    """Whether `text` is an id as it may stand in a subject: a dashed lower-case UUID."""
    return _ID(text) is not None
