"""`timeout_seconds`: what takes longer fails with a TimeoutError, its state is named TimedOut."""

import asyncio
import time

from prefect import flow, task


@task(timeout_seconds=0.2)
def too_slow():
    for _ in range(200):
        time.sleep(0.05)


@task(timeout_seconds=0.2)
async def too_slow_async():
    await asyncio.sleep(20)


@flow
def main():
    state = too_slow(return_state=True)
    return state.name


@flow
async def main_async():
    state = await too_slow_async(return_state=True)
    return state.name


@flow(timeout_seconds=0.2)
async def slow_flow():
    await asyncio.sleep(20)


def check():
    assert main_async_once() == "TimedOut"
    state = asyncio.run(slow_flow(return_state=True))
    assert (state.is_failed(), state.name) == (True, "TimedOut")
    try:
        asyncio.run(slow_flow())
    except TimeoutError:
        pass
    else:
        raise AssertionError("it was not too slow")


def main_async_once():
    return asyncio.run(main_async())
