"""What the cache keeps: one result a key. Where no system runs, in this process."""

import hashlib
import threading
from collections import OrderedDict
from datetime import datetime

import msgspec

from perfect_schemas.envelope import Instant, StoredValue

KEPT_S = 180 * 86400
"""An entry is forgotten after this time, with or without `cache_expiration`: so are runs, by default."""
KEPT_IN_MEMORY = 10_000


class CacheEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """cache_key: as the policy made it. run_id, task_run_id: who computed it. expires_at: None for never.

    A large result is kept once, by the run that computed it, and lives as long as any run that names it.
    """

    cache_key: str
    result: StoredValue
    at: Instant
    run_id: str | None = None
    task_run_id: str | None = None
    expires_at: Instant | None = None

    def is_valid(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


def digest_of(cache_key: str) -> str:
    """Under which an entry is kept: keys are anybody's text, of any length."""
    return hashlib.sha256(cache_key.encode()).hexdigest()


class MemoryCache:
    """The cache of a process in which nothing is recorded: the `KEPT_IN_MEMORY` entries that were used last. Thread-safe.

    Large results are kept with their entry: the run that stored them is gone.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[CacheEntry, bytes | None]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str) -> tuple[CacheEntry, bytes | None] | None:
        with self._lock:
            found = self._entries.get(digest)
            if found is not None:
                self._entries.move_to_end(digest)
            return found

    def put(self, digest: str, entry: CacheEntry, data: bytes | None) -> None:
        with self._lock:
            self._entries[digest] = (entry, data)
            self._entries.move_to_end(digest)
            while len(self._entries) > KEPT_IN_MEMORY:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()


of_process = MemoryCache()
