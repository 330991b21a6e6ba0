"""Flows whose code outside of tasks tells whether it was called again after a wait."""

import asyncio
import os
from pathlib import Path

from perfect_sdk import flow, pause_flow_run, sleep, task
from perfect_sdk.concurrency.sync import concurrency


def trace(path: str, text: object) -> None:
    with Path(path).open("a") as file:
        file.write(f"{text}\n")


@task
def mark(path: str, text: str) -> str:
    trace(path, text)
    return text


@task
async def mark_async(path: str, text: str) -> str:
    trace(path, text)
    return text


@flow
def laps(path: str, seconds: float = 0.3, count: int = 3) -> int:
    try:
        for n in range(count):
            print(f"lap {n}")
            trace(path, f"lap {n}")
            mark(path, f"task {n}")
            sleep(seconds)
    finally:
        trace(path, "finally")
    return os.getpid()


@flow
async def laps_async(path: str, seconds: float = 0.3, count: int = 3) -> int:
    try:
        for n in range(count):
            trace(path, f"lap {n}")
            await mark_async(path, f"task {n}")
            await sleep(seconds)
    finally:
        trace(path, "finally")
    return os.getpid()


@flow
def asked_twice(path: str) -> list[int]:
    trace(path, "begin")
    given = [pause_flow_run(wait_for_input=int)]
    trace(path, "between")
    given.append(pause_flow_run(wait_for_input=int))
    mark(path, "asked")
    return given


@flow
async def beside(path: str, seconds: float) -> list[str]:
    """A branch that sleeps beside two that wait for a person, and one with work after its sleep."""
    trace(path, "begin")

    async def slept() -> str:
        await sleep(seconds)
        return await mark_async(path, "slept")

    async def asked(key: str) -> str:
        given = await pause_flow_run(wait_for_input=str, key=key)
        return await mark_async(path, f"{key} {given}")

    return await asyncio.gather(slept(), asked("a"), asked("b"))


@flow
async def busy_beside(path: str) -> list[str]:
    """One branch waits for a person, the other has task after task to do."""

    async def asked() -> str:
        return await pause_flow_run(wait_for_input=str)

    async def works() -> str:
        for n in range(4):
            await mark_async(path, f"task {n}")
            await asyncio.sleep(0)
        return "worked"

    return await asyncio.gather(asked(), works())


@flow
def inner(path: str) -> str:
    trace(path, "inner")
    sleep(0.3)
    return mark(path, "inner slept")


@flow
def outer(path: str) -> str:
    trace(path, "outer")
    value = inner(path)
    trace(path, "outer again")
    sleep(0.3)
    return value


@flow
def in_a_slot(path: str) -> str:
    with concurrency("database"):
        trace(path, "in")
        sleep(0.3)
        return mark(path, "held")


@flow(timeout_seconds=60)
def timed(path: str) -> str:
    trace(path, "begin")
    sleep(0.3)
    return mark(path, "slept")
