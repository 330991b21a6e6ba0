"""Idempotency keys: one run a key and flow for 24 hours, kept in a KV bucket that forgets by itself."""

import hashlib
import weakref
from typing import Any

import msgspec
from nats.js.errors import NotFoundError

from perfect_bus import Bus
from perfect_bus.outbox import WRONG_LAST_SEQUENCE
from perfect_schemas import subjects
from perfect_schemas.codec import encode
from perfect_schemas.errors import Conflicting, Failed

KEPT_S = 86400
ATTEMPTS = 5
_READY: weakref.WeakSet[Bus] = weakref.WeakSet()  # connections on which the bucket is known to exist
STREAM = f"KV_{subjects.IDEMPOTENCY}"


class Kept(msgspec.Struct, frozen=True):
    """parameters: SHA-256 of the canonical JSON of the first run's parameters."""

    run_id: str
    parameters: str


async def reserve(bus: Bus, flow_id: str, key: str, run_id: str, parameters: dict[str, Any]) -> str:
    """The run that the key stands for: `run_id`, or the one that had it first.

    Raises Conflicting when that one was given other parameters.
    """
    if bus not in _READY:
        await bus.ensure_bucket(subjects.IDEMPOTENCY, ttl_s=KEPT_S)
        _READY.add(bus)
    mine = Kept(run_id=run_id, parameters=digest(parameters))
    subject = subjects.idempotency(flow_id, hashlib.sha256(key.encode()).hexdigest())
    expected = 0
    for _ in range(ATTEMPTS):
        ack = await bus.outbox.send(
            subject,
            encode(mine),
            headers={
                "Nats-TTL": f"{KEPT_S}s",
                "Nats-Expected-Last-Subject-Sequence": str(expected),
            },
        )
        if ack.error is None:
            return run_id
        if ack.error.err_code != WRONG_LAST_SEQUENCE:
            raise Failed(f"the idempotency key could not be kept: {ack.error.description}")
        try:
            stored = await bus.js.get_last_msg(STREAM, subject)
        except NotFoundError:
            expected = 0
            continue
        seq, data = stored.seq or 0, stored.data
        if not data:  # the mark of one that has expired
            expected = seq
            continue
        first = msgspec.json.decode(data, type=Kept)
        if first.parameters != mine.parameters:
            raise Conflicting(
                f"the idempotency key {key[:80]!r} was used for run {first.run_id} with other parameters; "
                "use another key for another run"
            )
        return first.run_id
    raise Failed("the idempotency key could not be kept: others kept writing to it")


def digest(parameters: dict[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(parameters, order="sorted")).hexdigest()
