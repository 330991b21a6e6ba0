"""A flow that logs all the time, while its tasks come and go beside it."""

import asyncio
import time

from perfect_sdk import flow, get_run_logger, task

TURN_S = 0.05


@task
async def work(n: int) -> int:
    await asyncio.sleep(0.5)
    return n


async def talk(lines_per_second: int, seconds: float) -> int:
    """As many lines as it gets to; returns how many."""
    logger = get_run_logger()
    written = 0
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        due = int((passed + TURN_S) * lines_per_second) - written
        for _ in range(min(due, lines_per_second)):
            logger.info("line %d of what there is to say, which is about as long as such lines are", written)
            written += 1
        await asyncio.sleep(TURN_S)
    return written


async def work_on(tasks: int) -> int:
    return sum([await work(n) for n in range(tasks)])


@flow(name="Chatty")
async def chatty(lines_per_second: int, seconds: float, tasks: int) -> int:
    """Returns how many lines it has logged."""
    written, total = await asyncio.gather(talk(lines_per_second, seconds), work_on(tasks))
    assert total == sum(range(tasks))
    return written
