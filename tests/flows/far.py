"""Flows that wait for tasks of other workers for as long as the test likes. Every line of a trace: what, of which process."""

import asyncio
import os
import time
from pathlib import Path

from perfect_sdk import flow, sleep, task
from perfect_sdk.concurrency.sync import concurrency


def trace(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{text} {os.getpid()}\n".encode())
    finally:
        os.close(descriptor)


def until(gate: str) -> None:
    """Until the file is there."""
    while not Path(gate).exists():
        time.sleep(0.02)


@task(queue="gpu")
def far(path: str, name: str) -> str:
    trace(path, f"far-{name}")
    until(f"{path}-{name}")
    return name


@task(queue="gpu")
async def far_async(path: str, name: str) -> str:
    trace(path, f"far-{name}")
    try:
        while not Path(f"{path}-{name}").exists():
            await asyncio.sleep(0.02)
    finally:
        trace(path, f"left-{name}")
    return name


@task(queue="gpu", retries=1, retry_delay_seconds=3)
def far_retried(path: str) -> str:
    trace(path, "try")
    if Path(path).read_text().count("try") == 1:
        raise ValueError("not yet")
    return "tried"


@task(queue="default")
def beside(path: str, name: str) -> str:
    trace(path, f"far-{name}")
    until(f"{path}-{name}")
    return name


@task
def near(path: str, name: str) -> str:
    trace(path, f"near-{name}")
    return name


@flow
def one(path: str) -> str:
    try:
        trace(path, "begin")
        got = near(path, "before") + far(path, "a")
        trace(path, "between")
        return got + near(path, "after")
    finally:
        trace(path, "finally")


@flow
async def one_async(path: str) -> str:
    try:
        trace(path, "begin")
        got = await far_async(path, "a")
        trace(path, "between")
        return got + near(path, "after")
    finally:
        trace(path, "finally")


@flow
def mapped(path: str, names: list[str]) -> list[str]:
    trace(path, "begin")
    return far.map(path, names).result()


@flow
async def gathered(path: str, seconds: float) -> list[str | None]:
    trace(path, "begin")
    return await asyncio.gather(far_async(path, "a"), sleep(seconds), far_async(path, "b"))


@flow
def busy(path: str) -> str:
    """Its code works on while the task runs, which nothing tells the SDK."""
    future = far.submit(path, "a")
    trace(path, "working")
    until(f"{path}-work")
    trace(path, "worked")
    return future.result()


@flow
def impatient(path: str) -> str:
    future = far.submit(path, "a")
    try:
        return future.result(timeout=1.5)
    except TimeoutError:
        trace(path, "timed-out")
        return near(path, "instead")
    finally:
        Path(f"{path}-a").touch()


@flow
def limited(path: str) -> str:
    with concurrency("only"):
        return far(path, "a")


@flow(timeout_seconds=60)
def timed(path: str) -> str:
    return far(path, "a")


@task
def around(path: str) -> str:
    trace(path, "around")
    return far(path, "a")


@flow
def within(path: str) -> str:
    return around(path)


@flow
def inner(path: str) -> str:
    trace(path, "inner")
    return far(path, "a")


@flow
def outer(path: str) -> str:
    trace(path, "outer")
    return inner(path) + near(path, "after")


@flow
def retried(path: str) -> str:
    trace(path, "begin")
    return far_retried(path)


@flow
def one_place(path: str, name: str) -> str:
    return beside(path, name)


@flow
def quick(path: str) -> str:
    return near(path, "quick")
