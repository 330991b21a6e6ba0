"""A call's result from the cache, and into it.

Keys that hold for one run only (`RUN_ID`) are kept by its session, and found again in its history: they cost the bus
nothing. The others are kept by the journal: in the bucket `CACHE`, or in this process when nothing runs.
"""

import functools
import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from perfect_schemas.envelope import StoredValue, utc_now
from perfect_schemas.errors import NotFound, PerfectError
from perfect_schemas.events import TaskCached
from perfect_sdk.caching.cache_entry import CacheEntry, digest_of
from perfect_sdk.run_context import of_task
from perfect_sdk.running.effects import Blocking, CallHook, Commit, Steps
from perfect_sdk.states import Completed

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call

_WARNING = 30
MISS = object()


def key_of(call: "Call") -> str | None:
    """None: this call is not cached. A policy that fails is said once, and caches nothing."""
    policy = call.cache
    if policy is None:
        return None
    try:
        inputs = named(call.fn, call.args, call.kwargs)
        context = of_task(call.frame, call)
        key = policy.compute_key(context, inputs, call.session.run.parameters)
    except Exception as error:
        if call.session.warn_once(("cache", call.policy.name)):
            call.session.say(
                _WARNING,
                f"no cache key could be made of the inputs of task {call.place.key!r} ({policy!r}), so it is not cached",
                call=call,
                error=error,
            )
        return None
    if key is not None and not isinstance(key, str):
        raise TypeError(f"the cache key of task {call.policy.name!r} is text or None, not {key!r}")
    return key


def named(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name, with the defaults. Raises TypeError when they do not fit."""
    bound = _signature(fn).bind(*args, **kwargs)
    bound.apply_defaults()
    found: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            found.update(value)
        else:
            found[name] = value
    return found


@functools.lru_cache(4096)
def _signature(fn: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(fn)


def look_up(call: "Call") -> Steps[Any]:
    """The value, or MISS. A hit is recorded before it is returned."""
    key = call.cache_key = key_of(call)
    if key is None or _refreshes(call):
        return MISS
    session = call.session
    if _is_within_run(call):
        result = session.results_by_key.get(key)
    else:
        entry: CacheEntry | None = yield Blocking(lambda: session.journal.recall(digest_of(key)))
        result = entry.result if entry is not None and entry.is_valid(utc_now()) else None
    if result is None:
        return MISS
    try:
        value = yield from call._recorded(result)
    except NotFound:  # the run that computed it is gone, and its large result with it
        return MISS
    run_name = call.run_name
    yield Commit(session, call.event(TaskCached, cache_key=key, result=result, run_name=run_name))
    session.sources.learn(call.place.key, value, result)
    session.say(20, f"task {call.place.key!r} took its result from the cache", call=call)
    call.state = Completed(data=value, name="Cached")
    call.is_cached = True
    for hook in call.policy.hooks.completion:
        yield CallHook(session, hook, (call.what, call, call.state))
    return value


def keep(call: "Call", key: str, result: StoredValue | None) -> Steps[None]:
    """Let others have the result. What cannot be kept is said once: the call has its result all the same."""
    session = call.session
    if result is None:
        return
    if _is_within_run(call):
        session.results_by_key[key] = result
        return
    now = utc_now()
    expires_after: timedelta | None = call.policy.cache_expiration
    entry = CacheEntry(
        cache_key=key,
        result=result,
        at=now,
        run_id=session.run.run_id,
        task_run_id=call.id,
        expires_at=None if expires_after is None else now + expires_after,
    )
    try:
        yield Blocking(lambda: session.journal.remember(digest_of(key), entry))
    except PerfectError as error:
        if session.warn_once(("cache", call.policy.name)):
            session.say(_WARNING, f"the result of task {call.place.key!r} is not cached: {error}", call=call)


def replayed(call: "Call", result: StoredValue) -> None:
    """What this run has computed before is in its cache."""
    key: str | None = None
    if _is_within_run(call):
        key = key_of(call)
        if key is not None and not _is_in_transaction(call):
            call.session.results_by_key[key] = result
    elif _is_in_transaction(call):
        key = key_of(call)
    if _is_in_transaction(call) and not call.is_cached:
        call.cache_key = key  # its transaction lets the cache have it


def _is_in_transaction(call: "Call") -> bool:
    from perfect_sdk.committing.transaction import enclosing

    return enclosing(call.frame) is not None


def _is_within_run(call: "Call") -> bool:
    return call.cache is not None and call.cache.is_within_run


def _refreshes(call: "Call") -> bool:
    asked = call.policy.refresh_cache
    return _refreshes_by_default() if asked is None else asked


@functools.cache
def _refreshes_by_default() -> bool:
    from perfect_bus.settings import Settings

    return Settings.load().refresh_cache
