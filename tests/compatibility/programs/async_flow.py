"""Async flows and tasks: awaited, gathered, and mixed with sync tasks."""

import asyncio

from prefect import flow, task

now, most = [0], [0]


@task
async def fetch(n: int) -> int:
    now[0] += 1
    most[0] = max(most[0], now[0])
    await asyncio.sleep(0.05)
    now[0] -= 1
    return n


@task
def sync_task(n: int) -> int:
    return n + 1


@flow
async def child(n: int) -> int:
    return await fetch(n)


@flow
async def main():
    results = await asyncio.gather(*[fetch(n) for n in range(5)])
    return results, sync_task(1), await child(9)


def check():
    assert asyncio.run(main()) == ([0, 1, 2, 3, 4], 2, 9)
    assert most[0] == 5
