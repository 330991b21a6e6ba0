"""Cached tasks, names and processes on the real system: what its API and pages say of them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import FLOWS, Running, running
from site_client import Site

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_runtime.verify import verify


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "cached.py", FLOWS / "in_processes.py")
        yield system


@pytest.fixture
async def site(system: Running) -> AsyncIterator[Site]:
    async with Site.of(system.system.url) as site:
        yield site
        report = await verify(system.bus)
        assert report.ok, "\n".join(report.differences[:20])


async def tasks_of(site: Site, run: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {task["task_key"]: task for task in await site.get(f"/api/engine/runs/{run['id']}/tasks")}


async def test_what_came_from_the_cache_is_shown_and_not_counted(
    site: Site, system: Running, tmp_path: Path
) -> None:
    path = str(tmp_path / "trace")
    await site.finished((await site.trigger("cached", path=path, sizes=[3, 4]))["id"])
    run = await site.finished((await site.trigger("cached", path=path, sizes=[4, 3]))["id"])
    assert (run["state"], run["name"]) == ("COMPLETED", "[4, 3] into a file")
    tasks = await tasks_of(site, run)
    assert {key: (task["state"], task["run_name"]) for key, task in tasks.items()} == {
        "load-0": ("CACHED", "load 4"),
        "load-1": ("CACHED", "load 3"),
    }
    assert run["progress"] == 100
    counted = {
        task["task_name"]: task["sample_count"] for task in (await site.get("/api/statistics"))["tasks"]
    }
    assert counted["load"] == 2
    async with httpx.AsyncClient(base_url=system.system.url) as browser:
        page = (await browser.get(f"/runs/{run['id']}")).text
    assert "load 4" in page
    assert "into a file" in page


async def test_tasks_in_processes_on_a_worker(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "died"
    run = await site.finished((await site.trigger("in-processes", path=str(path)))["id"])
    assert (run["state"], run["error"]) == ("COMPLETED", None)
    tasks = await tasks_of(site, run)
    assert tasks["dies_once-0"]["attempt"] == 2
    assert tasks["work-0/tenfold-0"]["state"] == "COMPLETED"
    assert tasks["gives_up-0"]["error"]["kind"].endswith("TaskCrashed")
    assert run["result"]["elsewhere"] is True
    assert run["result"]["states"] == ["Crashed", "TimedOut", "Failed", "Failed"]
