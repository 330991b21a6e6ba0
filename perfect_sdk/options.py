"""The options of `@flow` and `@task` that come from other tools: taken, ignored with one warning, or refused.

Nothing is ignored silently: an option either works, or says what to use instead.
"""

import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from perfect_sdk.exceptions import NotSupported

if TYPE_CHECKING:
    from perfect_sdk.cache_policies import CachePolicy

IGNORED = {
    "result_storage": "results are kept by the system itself",
    "cache_result_in_memory": "results are kept by the system itself",
    "viz_return_value": "flows are drawn from their history",
}
REFUSED = {
    "result_storage_key": "results are kept under keys of the system's own; return a name of your choice instead",
    "asset_deps": "say what a task works on in its name or tags",
}
_warned: set[str] = set()


def check(options: dict[str, Any], owner: str) -> None:
    """Raises NotSupported, or TypeError for a name that nobody knows. None counts as not given."""
    for name, value in options.items():
        if name in IGNORED:
            if value is not None and name not in _warned:
                _warned.add(name)
                warnings.warn(f"{name}= has no effect: {IGNORED[name]}", UserWarning, stacklevel=4)
        elif name in REFUSED:
            if value is not None:
                raise NotSupported(f"{owner}: {name}= is not supported: {REFUSED[name]}")
        else:
            raise TypeError(f"{owner}: there is no option {name!r}")


def positive(value: float | None, name: str, owner: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise NotSupported(f"{owner}: {name} is a number above 0, not {value!r}")
    return value


def count(value: int | None, name: str, owner: str) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise NotSupported(f"{owner}: {name} is a whole number from 0, not {value!r}")
    return value


def cache(
    policy: "CachePolicy | None",
    key_fn: Callable[..., str | None] | None,
    persist_result: bool | None,
    owner: str,
) -> "CachePolicy | None":
    """What a task's results are cached by, None for not at all. Raises NotSupported for what is no policy."""
    if policy is None and key_fn is None and not persist_result:
        return None
    from perfect_sdk import cache_policies

    if policy is not None and not isinstance(policy, cache_policies.CachePolicy):
        raise NotSupported(
            f"{owner}: cache_policy is one of perfect_sdk.cache_policies (INPUTS, TASK_SOURCE + INPUTS …), not {policy!r}"
        )
    if key_fn is not None:
        if policy is not None:
            _warn(f"{owner}: it has both cache_policy and cache_key_fn; cache_key_fn is used")
        policy = cache_policies.CacheKeyFnPolicy(key_fn)
    if policy is None:
        return cache_policies.DEFAULT
    if cache_policies.is_none(policy):
        return None
    if persist_result is False:
        _warn(f"{owner}: persist_result=False keeps no result, so its cache_policy has no effect")
        return None
    return policy


def expiration(value: timedelta | None, owner: str) -> timedelta | None:
    if value is not None and (not isinstance(value, timedelta) or value <= timedelta()):
        raise NotSupported(f"{owner}: cache_expiration is a timedelta above 0, not {value!r}")
    return value


def namer(value: Any, name: str, owner: str) -> Any:
    if value is not None and not isinstance(value, str) and not callable(value):
        raise NotSupported(f"{owner}: {name} is a template of its parameters or a function, not {value!r}")
    return value


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=5)


def queue(value: str | None, owner: str) -> str | None:
    if value is None:
        return None
    if (
        not isinstance(value, str)
        or not value
        or any(c in value for c in ".*>/\\~")
        or value.split() != [value]
    ):
        raise NotSupported(
            f"{owner}: queue is a name without spaces and without any of . * > / \\ ~, not {value!r}"
        )
    return value


def given(name: str, default: Any = None) -> Any:
    """An attribute of a Flow or Task: the option as its author gave it, `default` for one that was not given."""

    def read(one: Any) -> Any:
        value = one._options[name]
        return default if value is None else value

    return property(read)


def plain_function(fn: Any, owner: str) -> bool:
    """Whether `fn` is async. Raises NotSupported for what cannot be run as one call."""
    if isinstance(fn, (classmethod, staticmethod)):
        raise NotSupported(f"{owner}: put @{type(fn).__name__} above it, not below")
    if not callable(fn):
        raise NotSupported(f"{owner}: only a function can be decorated, not {fn!r}")
    code = getattr(fn, "__code__", None)
    flags = code.co_flags if code is not None else 0
    if flags & (0x20 | 0x200):  # a generator, sync or async
        raise NotSupported(f"{owner}: it is a generator; return a list, or yield inside of a task's own code")
    return bool(flags & 0x80)
