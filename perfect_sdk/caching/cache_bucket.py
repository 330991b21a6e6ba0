"""The cache of a running system: the KV bucket `CACHE`, one key for each cache key's digest. For the I/O loop.

The bucket is made with the first entry. An outage of the server fails nobody: both wait until it is back.
"""

import asyncio
import math
import weakref

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from perfect_bus import Bus
from perfect_schemas import subjects
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import BusUnavailable, Failed
from perfect_sdk.caching.cache_entry import KEPT_S, CacheEntry

STREAM = f"KV_{subjects.CACHE}"
RETRY_S = 0.5
_READY: weakref.WeakSet[Bus] = weakref.WeakSet()  # connections on which the bucket is known to exist
_decode = msgspec.json.Decoder(CacheEntry).decode


async def get_entry(bus: Bus, digest: str) -> CacheEntry | None:
    """None also for one that this version cannot read."""
    while True:
        try:
            found = await bus.js.get_last_msg(STREAM, subjects.cached(digest))
        except NotFoundError:  # no such entry, or no bucket yet
            return None
        except (NatsError, TimeoutError, OSError):
            if bus.nc.is_closed:
                raise
            await asyncio.sleep(RETRY_S)
            continue
        if not found.data:  # the mark of one that has expired
            return None
        try:
            return _decode(found.data)
        except msgspec.MsgspecError:
            return None


async def put_entry(bus: Bus, digest: str, entry: CacheEntry) -> None:
    """In place of what was there. Raises Failed when the server refuses it (a full disk)."""
    left_s = KEPT_S if entry.expires_at is None else (entry.expires_at - utc_now()).total_seconds()
    if left_s <= 0:
        return
    headers = {"Nats-TTL": f"{max(1, math.ceil(min(left_s, KEPT_S)))}s"}
    while True:
        try:
            if bus not in _READY:
                await bus.ensure_bucket(subjects.CACHE)
                _READY.add(bus)
            ack = await bus.outbox.send(subjects.cached(digest), msgspec.json.encode(entry), headers=headers)
        except (NatsError, BusUnavailable, TimeoutError, OSError):
            if bus.nc.is_closed:
                raise
            await asyncio.sleep(RETRY_S)
            continue
        if ack.error is not None:
            raise Failed(f"the cache took no entry: {ack.error.description}")
        return
