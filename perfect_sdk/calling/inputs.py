"""Futures among the inputs of a call: found, and replaced by their results."""

from typing import Any

from perfect_sdk.annotations import Annotation, allow_failure, quote
from perfect_sdk.exceptions import UpstreamTaskError
from perfect_sdk.futures import PerfectFuture, PerfectFutureList


def find(value: Any) -> list[PerfectFuture[Any] | Annotation[Any]]:
    """All futures, and marks without one, in nested lists, tuples, sets and dicts."""
    found: list[PerfectFuture[Any] | Annotation[Any]] = []
    _collect(value, found)
    return found


def _collect(value: Any, found: list[PerfectFuture[Any] | Annotation[Any]]) -> None:
    if isinstance(value, PerfectFuture):
        found.append(value)
    elif isinstance(value, Annotation):
        found.append(value)
        if not isinstance(value, quote):
            _collect(value.value, found)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for each in value:
            _collect(each, found)
    elif isinstance(value, dict):
        for each in value.values():
            _collect(each, found)


def replace(value: Any, *, failing: bool = False) -> Any:
    """`value` with the results of its futures (all done) in their places. Raises UpstreamTaskError for a failed one."""
    if isinstance(value, PerfectFuture):
        return _outcome(value, failing)
    if isinstance(value, quote):
        return value.value
    if isinstance(value, allow_failure):
        return replace(value.value, failing=True)
    if isinstance(value, Annotation):
        return replace(value.value, failing=failing)
    kind = type(value)
    if kind is list or isinstance(value, PerfectFutureList):
        return [replace(each, failing=failing) for each in value]
    if kind in (tuple, set, frozenset):
        return kind([replace(each, failing=failing) for each in value])
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return kind(*[replace(each, failing=failing) for each in value])
    if kind is dict and isinstance(value, dict):
        return {key: replace(each, failing=failing) for key, each in value.items()}
    return value


def _outcome(future: PerfectFuture[Any], failing: bool) -> Any:
    if future._job.future.cancelled():
        return future.result()
    error = future._job.future.exception()
    if error is None:
        return future._job.future.result()
    if not isinstance(error, Exception):
        raise error
    if failing:
        return error
    raise UpstreamTaskError(
        f"its input, task {future._call.place.key!r}, failed: {type(error).__name__}: {error} "
        "(wrap it in allow_failure() to run all the same)"
    ) from error
