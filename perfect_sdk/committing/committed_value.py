"""What a transaction with a key has committed: kept in the cache, where any run finds it."""

from typing import TYPE_CHECKING, Any

from perfect_schemas import ids
from perfect_schemas.envelope import utc_now
from perfect_sdk import results
from perfect_sdk.caching.cache_entry import CacheEntry, digest_of
from perfect_sdk.context import Frame
from perfect_sdk.running.effects import Blocking, Steps

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call


def look_up(frame: Frame, key: str, *, is_async: bool) -> "Call":
    """The look-up of a key, as a step of the run."""
    from perfect_sdk.committing.hook_call import StepCall

    journal = frame.session.journal

    def found(key: str) -> CacheEntry | None:
        entry = journal.recall(_digest(key))
        return entry if entry is not None and entry.is_valid(utc_now()) else None

    return StepCall(frame, "transaction", found, (key,), CacheEntry | None, is_async=is_async)


def _digest(key: str) -> str:
    return digest_of(f"transaction:{key}")


def here(key: str) -> CacheEntry | None:
    from perfect_sdk.caching.cache_entry import of_process

    found = of_process.get(_digest(key))
    return found[0] if found is not None else None


def _remember_here(entry: CacheEntry) -> None:
    from perfect_sdk.caching.cache_entry import of_process

    of_process.put(_digest(entry.cache_key), entry, None)


def write(frame: Frame | None, key: str, value: Any) -> Steps[CacheEntry]:
    """Raises NotStorable for a value that is no JSON."""
    data = results.encode_result(value, "json")
    if frame is None:
        entry = CacheEntry(cache_key=key, result=results.inline(data, "json"), at=utc_now())
        _remember_here(entry)
        return entry
    session = frame.session
    stored = results.inline(data, "json")
    if results.is_large(data):
        name = f"{session.run.run_id}/{ids.uuid7()}"
        ref = yield Blocking(lambda: session.journal.store(name, data))
        stored = results.by_reference(ref, data, "json")
    entry = CacheEntry(cache_key=key, result=stored, at=utc_now(), run_id=session.run.run_id)
    yield Blocking(lambda: session.journal.remember(_digest(key), entry))
    return entry
