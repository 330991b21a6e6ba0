"""Waiting for what happens in other processes, where nothing can be awaited."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(get: Callable[[], Any], *, timeout_s: float = 60.0, every_s: float = 0.02) -> Any:
    """The first true value of `get()`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while True:
        value = get()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return value
        assert loop.time() < deadline, f"did not come true within {timeout_s} s"
        await asyncio.sleep(every_s)
