"""`perfect schedules` as somebody uses it, on a system with a worker."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from commands import perfect
from running import FLOWS, Running, running

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_sdk.cli.exits import FAILED, OK, USAGE


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "gated.py")
        yield system


@pytest.mark.timeout(90)
async def test_from_making_to_removing(system: Running, tmp_path: Path) -> None:
    async def said(*arguments: str, code: int = OK) -> str:
        ended = await perfect(
            "schedules", *arguments, "--url", system.system.url, cwd=tmp_path, TZ="Europe/Rome"
        )
        assert ended.code == code, ended.output
        return ended.output

    assert "`perfect schedules create FLOW" in await said("ls")
    nightly = ("create", "Greeting", "--cron", "30 2 * * *", "--timezone", "Europe/Rome", "-p", "name=Ada")
    assert "+0" in (await said(*nightly, "--dry-run"))
    made = await said(*nightly, "--name", "nightly", "--overlap", "skip")
    assert made.startswith("Greeting/nightly: at 02:30 every day, Europe/Rome; next at ")
    assert "has a schedule 'nightly' already" in await said(*nightly, "--name", "nightly", code=FAILED)
    assert "requires name" in await said("create", "Greeting", "--every", "15m", code=USAGE)
    assert "did you mean 'Greeting'" in await said("create", "Greting", "--every", "15m", code=FAILED)
    assert "did you mean 'Greeting/nightly'" in await said("show", "Greeting/nightl", code=FAILED)

    assert "at 02:30 every day, Europe/Rome" in await said("ls", "--flow", "Greeting", "--state", "active")
    assert "clocks are put forward" in await said("preview", "Greeting", "--after", "2026-03-28", "-n", "2")
    backfill = ("backfill", "Greeting", "--since", "2026-03-28", "--until", "2026-03-30")
    assert "2 runs would be started" in await said(*backfill, "--dry-run")
    run_ids = (await said(*backfill, "-q")).split()
    for run_id in run_ids:
        history = await system.until_final(run_id)
        assert history.run is not None
        assert (history.run.state, history.run.parameters) == ("COMPLETED", {"name": "Ada"})
    assert "0 runs would be started" in await said(*backfill, "--dry-run")

    assert "is paused" in await said("pause", "Greeting/nightly")
    shown = json.loads(await said("show", "Greeting", "--json"))
    assert (shown["state"], shown["fired"], len(shown["next"])) == ("paused", 2, 5)
    assert {one["run_id"] for one in shown["decisions"]} == set(run_ids)
    assert "fires again, next at" in await said("resume", "Greeting/nightly")
    assert await said("rm", "Greeting/nightly", "-q") == ""
    assert json.loads(await said("ls", "--json")) == []
