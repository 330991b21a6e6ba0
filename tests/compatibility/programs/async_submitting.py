"""Async tasks are submitted like sync ones: `submit` and `map` are not awaited."""

import asyncio

from prefect import flow, task
from prefect.futures import as_completed


@task
async def double(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


@flow
def from_sync_code():
    return (
        double.submit(4).result(),
        double.map([1, 2, 3]).result(),
        sorted(future.result() for future in as_completed(double.map([5, 6]))),
    )


def check():
    assert from_sync_code() == (8, [2, 4, 6], [10, 12])
