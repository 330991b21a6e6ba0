"""Task keys: the name of a call that is the same in every execution of the run.

`<scope>/<name>-<n>`: n counts the calls of that name within the scope, from 0, and is taken when the call is made. The
scope is the flow's body (empty, so its keys are `extract-0`), the task that calls (`extract-0/inner-0`), or a branch:
an asyncio task that the body started (`fetch_city~1/extract-0`: the second one of the coroutine `fetch_city`).
Branches are numbered when they are *created*, not when they get to run, so that keys do not depend on timing; they are
counted by the coroutine's name, so that tasks which a library starts on its own do not shift the user's.
"""

import re
import threading
from typing import Any, NamedTuple

_lock = threading.Lock()
_branch = re.compile(r"~\d+")


class Place(NamedTuple):
    """ordinal: which call of its scope it is, from 0, whatever the names."""

    scope: str
    key: str
    ordinal: int


class Scope:
    """Counts the calls made in one scope. Thread-safe: code of one scope may run in several threads."""

    __slots__ = ("_counts", "_ordinal", "path")

    def __init__(self, path: str = "") -> None:
        self.path = path
        self._counts: dict[str, int] | None = None
        self._ordinal = 0

    def take(self, name: str, taken: Any = ()) -> Place:
        """The place of a call of `name` made now. `taken`: keys to pass over."""
        if "/" in name or "~" in name:
            name = name.replace("/", "_").replace("~", "_")
        prefix = f"{self.path}/{name}-" if self.path else f"{name}-"
        with _lock:
            if self._counts is None:
                self._counts = {}
            n = self._counts.get(name, 0)
            if taken:
                while f"{prefix}{n}" in taken:
                    n += 1
            self._counts[name] = n + 1
            ordinal = self._ordinal
            self._ordinal = ordinal + 1
        return Place(self.path, f"{prefix}{n}", ordinal)

    def mark(self, name: str) -> str:
        """A place of something that is no call, made now: counted by itself, so that it moves no call's place."""
        name = name + "#"
        with _lock:
            if self._counts is None:
                self._counts = {}
            n = self._counts.get(name, 0)
            self._counts[name] = n + 1
        return f"{self.path}/{name}{n}" if self.path else f"{name}{n}"

    @property
    def has_branches(self) -> bool:
        return self._counts is not None and any(name.endswith("~") for name in list(self._counts))

    def branch(self, name: str) -> "Scope":
        """The scope of an asyncio task that is created now; `name`: of its coroutine."""
        name = name.replace("/", "_").replace("~", "_") + "~"
        with _lock:
            if self._counts is None:
                self._counts = {}
            n = self._counts.get(name, 0)
            self._counts[name] = n + 1
        return Scope(f"{self.path}/{name}{n}" if self.path else f"{name}{n}")


def scope_of(key: str) -> str:
    return key.rpartition("/")[0]


def family(scope: str) -> str:
    """The scope without its branches' numbers: sibling branches may take each other's work over."""
    return _branch.sub("~", scope)


def is_branch(scope: str) -> bool:
    return "~" in scope
