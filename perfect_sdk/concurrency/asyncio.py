"""Named limits for async code."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from perfect_sdk.concurrency.rates import spend
from perfect_sdk.concurrency.slots import Slots, quietly
from perfect_sdk.exceptions import AcquireConcurrencySlotTimeoutError, ConcurrencySlotAcquisitionError
from perfect_sdk.running.effects import drive_async

__all__ = [
    "AcquireConcurrencySlotTimeoutError",
    "ConcurrencySlotAcquisitionError",
    "concurrency",
    "rate_limit",
]

RELEASED_S = 2.0


@asynccontextmanager
async def concurrency(
    names: str | list[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    max_retries: int | None = None,
    lease_duration: float = 300,  # noqa: ARG001
    strict: bool = False,
    holder: Any = None,  # noqa: ARG001
    raise_on_lease_renewal_failure: bool | None = None,  # noqa: ARG001
) -> AsyncIterator[None]:
    """Hold `occupy` slots of each of the limits `names` while inside; see `perfect_sdk.concurrency.sync`."""
    slots = Slots(names, occupy, timeout_seconds, max_retries, strict)
    await drive_async(slots.enter())
    try:
        yield
    finally:
        await quietly(slots.release(), RELEASED_S)


async def rate_limit(
    names: str | list[str], occupy: int = 1, timeout_seconds: float | None = None, strict: bool = False
) -> None:
    """Spend `occupy` slots of each of the rates `names`, and wait until they are there."""
    await drive_async(spend(names, occupy, timeout_seconds, strict))
