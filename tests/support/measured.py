"""A flow with a history worth drawing: two versions, runs that are slow, runs that fail."""

import asyncio
from pathlib import Path

from running import Running, Worker
from site_client import Site

NAME = "Measured"
CODE = """
import time
from typing import Literal

from pydantic import BaseModel

from perfect_sdk import flow, task


class Place(BaseModel):
    city: str
    floor: int = 0


@task(weight=5)
def load(ms: int) -> int:
    time.sleep(ms * {factor} / 1000)
    return ms


@task(weight=2)
def clean(ms: int) -> int:
    time.sleep(ms / 4000)
    return ms


@task
def store(ms: int) -> int:
    if ms < 0:
        raise ValueError("nothing to store")
    return ms


@flow(name="Measured", tags=["nightly"])
def measured(
    ms: int, mode: Literal["full", "delta"] = "full", names: list[str] = ["a"], place: Place | None = None, dry: bool = False
) -> int:
    \"\"\"Takes as long as it is told to.\"\"\"
    clean(load(abs(ms)))
    return store(ms)
"""
RUNS = [20, 24, 18, 22, 21, 26, 19, 23, 20, 22, -20, 25]  # ms of each; below zero it fails
SLOW = 900


async def serving(system: Running, folder: Path, *, factor: int = 1, name: str = "measuring") -> Worker:
    """A worker that has the flow in one version, and runs one at a time."""
    file = folder / "measured.py"
    file.write_text(CODE.replace("{factor}", str(factor)))
    return await system.worker(file, name=name, concurrency=1)


async def told(system: Running, folder: Path) -> str:
    """Two versions of the flow have run, each one after another; the last run was far too slow. Returns the flow's id."""
    flow_id = ""
    async with Site.of(system.system.url) as site:
        for factor, more in ((1, []), (2, [SLOW])):
            worker = await serving(system, folder, factor=factor, name=f"measuring {factor}")
            runs = [await site.trigger(NAME, ms=ms) for ms in (*RUNS, *more)]
            for run in runs:
                await site.finished(run["id"])
            flow_id = runs[-1]["flow_id"]
            if not more:
                await asyncio.to_thread(worker.stop)
    return flow_id
