"""Flows for the tests of the worker. Bodies leave a line in a file each time they run."""

import asyncio
import os
import signal
import time

from perfect_sdk import flow, task


def trace(path: str, text: object) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


@task
def step(path: str, n: int, seconds: float = 0.0) -> int:
    trace(path, n)
    time.sleep(seconds)  # stands for work that takes a while
    return n


@flow
def steps(path: str, count: int = 200, seconds: float = 0.0) -> int:
    return sum(step(path, n, seconds) for n in range(count))


@task
async def step_async(path: str, n: int) -> int:
    trace(path, n)
    await asyncio.sleep(0)
    return n


@flow
async def steps_async(path: str, count: int = 20) -> int:
    return sum(await asyncio.gather(*(step_async(path, n) for n in range(count))))


@flow
def failing() -> None:
    raise ValueError("not today")


@flow
def deadly(path: str) -> None:
    trace(path, os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


@flow
def stuck(path: str) -> None:
    trace(path, "stuck")
    time.sleep(60)


@flow
async def stuck_async(path: str) -> None:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        trace(path, "cleaned up")
        raise


@flow
def moment(path: str) -> float:
    now = time.time()
    trace(path, now)
    return now
