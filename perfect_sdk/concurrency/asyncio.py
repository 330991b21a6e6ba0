"""Named limits for async code."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from perfect_sdk.concurrency.slots import Slots, quietly, refuse_rate_limit
from perfect_sdk.effects import drive_async
from perfect_sdk.exceptions import AcquireConcurrencySlotTimeoutError

__all__ = ["AcquireConcurrencySlotTimeoutError", "concurrency", "rate_limit"]

RELEASED_S = 2.0


@asynccontextmanager
async def concurrency(
    names: str | list[str],
    occupy: int = 1,
    timeout_seconds: float | None = None,
    **others: Any,
) -> AsyncIterator[None]:
    """Hold `occupy` slots of each of the limits `names` while inside; see `perfect_sdk.concurrency.sync`."""
    slots = Slots(names, occupy, timeout_seconds, **others)
    await drive_async(slots.enter())
    try:
        yield
    finally:
        await quietly(slots.release(), RELEASED_S)


async def rate_limit(*_: Any, **__: Any) -> None:
    refuse_rate_limit()
