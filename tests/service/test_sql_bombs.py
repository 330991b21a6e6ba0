"""SQL of people: what takes too much is stopped, and the writer goes on meanwhile."""

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
from said_runs import Runs
from sql_asked import ask, committed, one_run

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.service import ProjectorService

DEADLINE_S = 2.0


@pytest.fixture
async def projector(start_service: Any, settings: Settings) -> ProjectorService:
    short = msgspec.structs.replace(settings, sql_timeout_s=DEADLINE_S, sql_memory_bytes=256 * 2**20)
    return await start_service(ProjectorService, settings=short)


@pytest.fixture
async def runs(bus: Bus, projector: ProjectorService) -> Runs:
    return await one_run(bus, projector)


BOMBS = {
    "CPU": "SELECT count(*) FROM range(100000000000) a, range(1000000) b",
    "sort": "SELECT * FROM range(10000000000) ORDER BY hash(range)",
    "recursion": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "memory of a list": "SELECT len(range(1000000000))",
    "memory of a text": "SELECT length(repeat(repeat('x', 1000000), 3000))",
    "memory of groups": "SELECT range % 1000000000 AS g, list(range) FROM range(1000000000) GROUP BY g",
    "giant text": "SELECT repeat('x', 900000000)",
    "nesting": "SELECT " + "(" * 40_000 + "1" + ")" * 40_000,
    "one call that cannot be interrupted": "SELECT levenshtein(repeat('a', 200000), repeat('b', 200000))",
    "own output": "SELECT * FROM read_text('/dev/stdout')",
}

TO_THE_END = {"CPU", "recursion", "own output", "one call that cannot be interrupted"}


async def test_bombs_go_off_in_their_own_process(
    http: httpx.AsyncClient, runs: Runs, projector: ProjectorService
) -> None:
    """Stopped at the deadline at the latest, with a sentence, while the writer commits run after run."""
    written = 0
    over = False

    async def write_on() -> None:
        nonlocal written
        while not over:
            run_id = await runs.start()
            await runs.complete(run_id)
            await committed(projector, runs, run_id)
            written += 1

    async def one(name: str, query: str, kind: str) -> None:
        before = written
        answer = await ask(http, query, format=kind)
        assert answer.status_code in (400, 422), (name, answer.status_code, answer.text[:300])
        assert answer.json()["detail"], name
        if name in TO_THE_END:
            assert f"stopped after {DEADLINE_S:g} s" in answer.json()["detail"], name
            assert written > before, f"nothing was committed while {name} ran"

    writer = asyncio.create_task(write_on())
    try:
        for name, query in BOMBS.items():
            await one(name, query, "parquet" if name == "own output" else "json")
    finally:
        over = True
        await writer
    assert (await ask(http, "SELECT count(*) > 1 FROM runs")).json()["rows"] == [[True]]


async def test_too_many_at_once_are_told_to_come_again(http: httpx.AsyncClient, runs: Runs) -> None:
    query = BOMBS["CPU"]
    answers = await asyncio.gather(*(ask(http, query) for _ in range(14)))
    codes = sorted(answer.status_code for answer in answers)
    assert set(codes) == {422, 429}
    busy = next(answer for answer in answers if answer.status_code == 429)
    assert busy.headers["retry-after"]
    assert busy.json()["title"] == "Busy"
