"""The asyncio twin, and what happens without a limit of that name: nothing is limited, unless `strict`."""

import asyncio

from prefect import flow, task
from prefect.concurrency.asyncio import concurrency

NEEDS = "system"
LIMITS = {"compat-single": 1}
now, most = [0], [0]


@task
async def process(name):
    async with concurrency(name, occupy=1):
        now[0] += 1
        most[0] = max(most[0], now[0])
        await asyncio.sleep(0.05)
        now[0] -= 1


@flow
async def main(name):
    await asyncio.gather(*[process(name) for _ in range(4)])


@flow
async def strict():
    async with concurrency("compat-nobody-made-this", strict=True):
        return "inside"


def check():
    asyncio.run(main("compat-single"))
    assert most[0] == 1
    asyncio.run(main("compat-nobody-made-this-either"))
    assert most[0] == 4
    assert asyncio.run(strict(return_state=True)).is_failed()
