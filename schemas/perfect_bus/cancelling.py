"""Ending a task for certain."""

import asyncio
from typing import Any

AGAIN_S = 0.2


async def cancelled(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks and wait until they have ended, however they end.

    They are cancelled again and again: `asyncio.wait_for` of Python 3.11, which clients use inside, loses a
    cancellation that comes at the moment its call completes, and the task would go on to its natural end.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
