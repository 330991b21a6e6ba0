"""Named limits for sync code."""

import concurrent.futures
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from perfect_sdk.concurrency.rates import spend
from perfect_sdk.concurrency.slots import Slots
from perfect_sdk.exceptions import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from perfect_sdk.running.effects import drive

__all__ = [
    "AcquireConcurrencySlotTimeoutError",
    "ConcurrencySlotAcquisitionError",
    "concurrency",
    "rate_limit",
]

RELEASED_S = 2.0


@contextmanager
def concurrency(
    names: str | list[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    max_retries: int | None = None,
    lease_duration: float = 300,  # noqa: ARG001
    strict: bool = False,
    holder: Any = None,  # noqa: ARG001
    raise_on_lease_renewal_failure: bool | None = None,  # noqa: ARG001
) -> Iterator[None]:
    """Hold `occupy` slots of each of the limits `names` while inside: all together or none.

    Waits without a limit of time, or raises AcquireConcurrencySlotTimeoutError after `timeout_seconds`, and
    ConcurrencySlotAcquisitionError after `max_retries` further attempts of 5 s. A name without a limit is not limited, or,
    `strict`, an error. Outside of a running system nothing is limited, with one warning.

    A slot ends with its holder, the run that calls: `lease_duration`, `holder` and `raise_on_lease_renewal_failure` are
    there for code that passes them.
    """
    slots = Slots(names, occupy, timeout_seconds, max_retries, strict)
    drive(slots.enter())
    try:
        yield
    finally:
        answer = slots.release()
        if answer is not None:
            concurrent.futures.wait([answer], RELEASED_S)


def rate_limit(
    names: str | list[str], occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> None:
    """Spend `occupy` slots of each of the rates `names`, and wait until they are there.

    They come back by themselves, `slot_decay_per_second` of the limit (`perfect limits set NAME SLOTS --decay 2`); until
    then at most `slots` go at once. Raises AcquireConcurrencySlotTimeoutError when that would be after `timeout_seconds`,
    without waiting for it. A name without a limit is not limited, or, `strict`, an error.
    """
    drive(spend(names, occupy, timeout_seconds, strict))
