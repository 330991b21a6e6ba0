"""Named limits for sync code."""

import concurrent.futures
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from perfect_sdk.concurrency.slots import Slots, refuse_rate_limit
from perfect_sdk.effects import drive
from perfect_sdk.exceptions import AcquireConcurrencySlotTimeoutError

__all__ = ["AcquireConcurrencySlotTimeoutError", "concurrency", "rate_limit"]

RELEASED_S = 2.0


@contextmanager
def concurrency(
    names: str | list[str], occupy: int = 1, timeout_seconds: float | None = None, **others: Any
) -> Iterator[None]:
    """Hold `occupy` slots of each of the limits `names` while inside: all together or none.

    Waits without a limit of time, or raises AcquireConcurrencySlotTimeoutError after `timeout_seconds`. A name without
    a limit is not limited. Outside of a running system nothing is limited, with one warning.
    """
    slots = Slots(names, occupy, timeout_seconds, **others)
    drive(slots.enter())
    try:
        yield
    finally:
        answer = slots.release()
        if answer is not None:
            concurrent.futures.wait([answer], RELEASED_S)


def rate_limit(*_: Any, **__: Any) -> None:
    refuse_rate_limit()
