"""SQL of people, asked over HTTP."""

import asyncio
from typing import Any

import httpx
from said_runs import Runs

from perfect_bus import Bus
from perfect_projector.service import ProjectorService


async def one_run(bus: Bus, projector: ProjectorService) -> Runs:
    """With two tasks and a log line, in the file."""
    said = Runs(bus)
    run_id = await said.start(parameters={"day": "mon"})
    await said.task(run_id, 0)
    await said.task(run_id, 1)
    await said.log(run_id, "hello")
    await said.complete(run_id)
    await committed(projector, said, run_id)
    return said


async def committed(projector: ProjectorService, runs: Runs, run_id: str) -> None:
    async with asyncio.timeout(60):
        while projector.committed.get("EVENTS", 0) < runs.last[run_id]:
            await asyncio.sleep(0.01)


async def ask(http: httpx.AsyncClient, query: str, **fields: Any) -> httpx.Response:
    return await http.post("/api/sql", json={"query": query, **fields})
