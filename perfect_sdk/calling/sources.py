"""From which tasks of its run the inputs of a call came."""

import threading
import weakref
from collections.abc import Iterable
from enum import Enum
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_schemas.envelope import StoredValue
from perfect_schemas.events.task import MOST_SOURCES
from perfect_sdk.annotations import Annotation, quote, strip

if TYPE_CHECKING:
    from perfect_sdk.futures import PerfectFuture

MOST_RESULTS = 1000
MOST_BYTES = 1 << 20  # of the results that are kept alive, as they are stored
_MOST_BYTES_OF_ONE = 1 << 16
_MOST_LOOKED_AT = 100  # of what a list, tuple or dict holds
_PLAIN = (type(None), bool, int, float, complex, str, bytes, tuple, frozenset, range)
_SHARED = (*_PLAIN, Enum, type, FunctionType, ModuleType)


def of_futures(futures: "Iterable[PerfectFuture[Any]]", run_id: str) -> list[str]:
    """Keys of their calls, each once, in order. Those of another run (a flow's own, given to a child) are left out."""
    keys = dict.fromkeys(
        future._call.place.key for future in futures if future._call.session.run.run_id == run_id
    )
    return list(keys)[:MOST_SOURCES]


def joined(keys: Iterable[str], more: list[str]) -> list[str]:
    return list(dict.fromkeys((*keys, *more)))[:MOST_SOURCES]


class Sources:
    """What the last tasks of a run returned, to be known again when the very object is handed on: `load(fetch())`.

    Numbers, texts, tuples and the like are not known again: one object may stand for many of them. Nothing large is kept
    alive: what can be referred to weakly is, and of the rest only what is short as it is stored.
    """

    __slots__ = ("_bytes", "_kept", "_lock")

    def __init__(self) -> None:
        self._kept: dict[int, tuple[str, Any, int]] = {}  # id → key, the object or a weak reference, bytes
        self._bytes = 0
        self._lock = threading.Lock()

    def learn(self, key: str, value: Any, stored: StoredValue | None) -> None:
        """The task `key` returned `value`, which is kept as `stored`."""
        if issubclass(type(value), _SHARED):
            return
        size = 0
        try:
            held: Any = weakref.ref(value)
        except TypeError:
            if not _is_short(value, stored):
                return
            held, size = value, stored.size_bytes if stored is not None else 0
        with self._lock:
            self._forget(id(value))
            self._kept[id(value)] = (key, held, size)
            self._bytes += size
            while len(self._kept) > MOST_RESULTS or self._bytes > MOST_BYTES:
                self._forget(next(iter(self._kept)))

    def _forget(self, place: int) -> None:
        known = self._kept.pop(place, None)
        if known is not None:
            self._bytes -= known[2]

    def knows(self, value: Any) -> bool:
        found: list[str] = []
        self._look_at(value, found)
        return bool(found)

    def among(self, args: tuple[Any, ...], kwargs: dict[str, Any], wait_for: Any = ()) -> list[str]:
        """Keys of the tasks that returned one of the arguments, or what a short list, tuple or dict among them holds, or
        what is in the list `wait_for`.
        """
        found: list[str] = []
        if not self._kept:
            return found
        for value in (*args, *kwargs.values()):
            if isinstance(value, Annotation) and not isinstance(value, quote):
                value = value.value  # noqa: PLW2901
            self._look_at(value, found)
            if isinstance(value, (list, tuple)) and len(value) <= _MOST_LOOKED_AT:
                for each in value:
                    self._look_at(each, found)
            elif isinstance(value, dict) and len(value) <= _MOST_LOOKED_AT:
                for each in value.values():
                    self._look_at(each, found)
        if isinstance(wait_for, list):
            for each in wait_for:
                self._look_at(strip(each), found)
        return found

    def _look_at(self, value: Any, found: list[str]) -> None:
        known = self._kept.get(id(value))
        if known is None:
            return
        key, held, _ = known
        if held is value or (type(held) is weakref.ref and held() is value):
            found.append(key)


def _is_short(value: Any, stored: StoredValue | None) -> bool:
    if stored is None or stored.serializer != "json" or stored.size_bytes > _MOST_BYTES_OF_ONE:
        return False
    kind = type(value)
    return (
        kind in (list, dict, set) or issubclass(kind, msgspec.Struct) or hasattr(kind, "__dataclass_fields__")
    )
