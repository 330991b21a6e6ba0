"""How a call is carried out: retries, timeout, how its result is kept. Part of every Task; child flows have one too."""

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from perfect_sdk.exceptions import NotSupported
from perfect_sdk.results import Serializer

if TYPE_CHECKING:
    from perfect_sdk.cache_policies import CachePolicy
else:
    CachePolicy = Any

Delays = float | Sequence[float] | Callable[[int], Sequence[float]] | None
Hook = Callable[..., Any]


class Hooks(msgspec.Struct):
    running: list[Hook] = []
    completion: list[Hook] = []
    failure: list[Hook] = []
    cancellation: list[Hook] = []
    crashed: list[Hook] = []
    commit: list[Hook] = []
    rollback: list[Hook] = []


class Policy(msgspec.Struct, kw_only=True):
    """delays: seconds before each retry; the last one repeats. jitter: up to this share of a delay is added to it.

    queue: another worker, which serves this queue, runs it; None: whoever calls it. prints: whether `print` becomes log lines; None: as
    the caller's. cache: None means that every call computes its result;
    caches_as_flow: unless the flow has persist_result=True. cache_expiration: how long others may have it.
    refresh_cache: compute it all the same; None: as the settings say. run_name: `task_run_name`.
    """

    name: str
    retries: int = 0
    delays: tuple[float, ...] = (0.0,)
    jitter: float = 0.0
    retry_condition: Callable[..., Any] | None = None
    timeout_seconds: float | None = None
    serializer: Serializer = "json"
    persist: bool = True
    prints: bool | None = None
    hooks: Hooks = msgspec.field(default_factory=Hooks)
    queue: str | None = None
    cache: CachePolicy | None = None
    caches_as_flow: bool = False
    cache_expiration: timedelta | None = None
    refresh_cache: bool | None = None
    run_name: str | Callable[..., str] | None = None

    def delay_before(self, retry: int) -> float:
        """Seconds before the `retry`-th retry, from 1."""
        delay = self.delays[min(retry, len(self.delays)) - 1]
        return delay * (1 + random.uniform(0, self.jitter)) if self.jitter else delay  # noqa: S311


def delays_of(value: Delays, retries: int, owner: str) -> tuple[float, ...]:
    """Raises NotSupported for what is no delay, naming `owner`."""
    if value is None:
        return (0.0,)
    if callable(value):
        value = value(retries)
    try:
        delays = tuple(float(each) for each in value) if isinstance(value, Sequence) else (float(value),)
    except (TypeError, ValueError):
        raise NotSupported(
            f"{owner}: retry_delay_seconds is a number, a list of numbers or a function of the number of retries, "
            f"not {value!r}"
        ) from None
    if any(delay < 0 for delay in delays):
        raise NotSupported(f"{owner}: retry_delay_seconds must not be negative: {value!r}")
    return delays or (0.0,)


def exponential_backoff(backoff_factor: float) -> Callable[[int], list[float]]:
    """`retry_delay_seconds=exponential_backoff(10)`: 10, 20, 40 … seconds."""

    def delays(retries: int) -> list[float]:
        return [backoff_factor * 2**n for n in range(retries)]

    return delays
