"""Flows that somebody pauses from outside. Their tasks leave a line when they begin, and wait at a named pipe if there
is one of their name.
"""

import asyncio
import time
from pathlib import Path

from perfect_sdk import flow, sleep, suspend_flow_run, task
from perfect_sdk.context import current


@task
def step(folder: str, name: str) -> str:
    with Path(folder, "ran").open("a") as out:
        out.write(f"{name}\n")
    gate = Path(folder, f"gate-{name}")
    if gate.is_fifo() and gate.read_text() == "pausing":
        while not current.get().session.is_pausing:  # the process that runs it hears of it a moment later
            time.sleep(0.005)
    return name


@task
async def step_async(folder: str, name: str) -> str:
    return await asyncio.to_thread(step.fn, folder, name)


@flow
def paused_child(folder: str) -> str:
    return step(folder, "c") + step(folder, "d")


@flow
def paused_parent(folder: str) -> str:
    return step(folder, "a") + step(folder, "b") + paused_child(folder) + step(folder, "e")


@task
def short_step(folder: str, name: str) -> str:
    time.sleep(0.02)  # stands for work
    return step.fn(folder, name)


@flow
def paused_middle(folder: str, first: int, count: int) -> int:
    return len([short_step(folder, f"s{n}") for n in range(first, first + count)])


@flow
def paused_steps(folder: str) -> int:
    """Forty short ones, half of them in a child run."""
    before = len([short_step(folder, f"s{n}") for n in range(10)])
    return before + paused_middle(folder, 10, 20) + paused_middle(folder, 30, 10)


@flow
async def paused_branches(folder: str) -> list[str]:
    async def branch(name: str) -> str:
        first = await step_async(folder, f"{name}1")
        await sleep(0.2)
        return first + await step_async(folder, f"{name}2")

    return await asyncio.gather(*[branch(name) for name in "xyz"])


@flow
def brief(folder: str) -> str:
    return step(folder, "brief")


@flow
def pauses_another(run_id: str) -> str:
    suspend_flow_run(flow_run_id=run_id)
    return "done"
