"""Flows whose task bodies say in a file under which claim of the run they ran: `run key epoch claim_seq`, one a line."""

import asyncio
import os
import time

from perfect_sdk import flow, task
from perfect_sdk.context import require

TASKS = 200
WIDTH = 4  # tasks in flight at once, at most


def say(path: str) -> None:
    frame = require("say()")
    run = frame.session.run
    assert frame.call is not None
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{run.run_id} {frame.call.place.key} {run.epoch} {run.claim_seq}\n".encode())
    finally:
        os.close(descriptor)


@task
def leave_trace(path: str, n: int, seconds: float) -> int:
    say(path)
    time.sleep(seconds)  # stands for work that takes a while
    return n


@task
async def leave_trace_async(path: str, n: int, seconds: float) -> int:
    say(path)
    await asyncio.sleep(seconds)
    return n


@flow(name="Traced")
def traced(path: str, seconds: float = 0.01) -> int:
    """One after the other at first, then in groups on threads."""
    half = TASKS // 2
    total = sum(leave_trace(path, n, seconds) for n in range(half))
    for begin in range(half, TASKS, WIDTH):
        group = [leave_trace.submit(path, n, seconds) for n in range(begin, begin + WIDTH)]
        total += sum(one.result() for one in group)
    return total


@flow(name="Traced async")
async def traced_async(path: str, seconds: float = 0.01) -> int:
    total = 0
    for begin in range(0, TASKS, WIDTH):
        group = [leave_trace_async(path, n, seconds) for n in range(begin, begin + WIDTH)]
        total += sum(await asyncio.gather(*group))
    return total


@task
def wait_at_first(path: str, times: int) -> str:
    """So many times for ever; afterwards not at all."""
    with open(path, "a") as out:
        out.write(f"{os.getpid()}\n")
    with open(path) as written:
        if len(written.readlines()) <= times:
            time.sleep(600)
    return "done"


@task
def count(n: int) -> int:
    return n


@flow(name="Long")
def long(path: str, tasks: int, times: int) -> str:
    """Many short tasks, and a last one that does not end the first `times` times."""
    for n in range(tasks - 1):
        count(n)
    return wait_at_first(path, times)


@flow(name="A")
def first_flow(path: str) -> None:
    leave_trace(path, 0, 0)


@flow(name="B")
def second_flow(path: str) -> None:
    leave_trace(path, 0, 0)
