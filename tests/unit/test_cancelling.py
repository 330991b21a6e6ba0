"""Tasks that are to end do, even when a cancellation got lost in them."""

import asyncio

from perfect_bus.cancelling import cancelled


async def test_a_task_that_loses_a_cancellation_is_cancelled_again() -> None:
    heard = 0

    async def work() -> None:
        nonlocal heard
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                heard += 1
                if heard > 1:
                    raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)  # it has begun
    await cancelled(task)
    assert task.cancelled()
    assert heard == 2


async def test_what_has_ended_is_left_alone() -> None:
    async def fails() -> None:
        raise ValueError("no")

    task = asyncio.create_task(fails())
    await asyncio.wait({task})
    await cancelled(task)
    assert isinstance(task.exception(), ValueError)
