"""Retry and fork on the real system: which bodies run again, and which do not."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually
from running import FLOWS, Running, running
from site_client import FINAL, Site

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_runtime.verify import verify


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "mended.py")
        yield system


@pytest.fixture
async def site(system: Running) -> AsyncIterator[Site]:
    async with Site.of(system.system.url) as site:
        yield site
        report = await verify(system.bus)
        assert report.ok, "\n".join(report.differences[:20])


class Place:
    """Where the flow's bodies leave their lines."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self) -> list[str]:
        """What ran since the last look."""
        file = self.folder / "ran"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def mend(self) -> None:
        (self.folder / "mended").touch()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def ended_again(site: Site, run_id: str) -> dict[str, Any]:
    async def shown() -> dict[str, Any] | None:
        run = await site.run(run_id)
        return run if run["attempt"] == 2 and run["state"] in FINAL else None

    return await eventually(shown)


async def test_retry_goes_on_from_the_failed_task(site: Site, place: Place) -> None:
    run = await site.trigger("mended", place=str(place.folder))
    assert (await site.finished(run["id"]))["state"] == "FAILED"
    assert place.take() == [
        "extract 0", "shape 0 1", "extract 1", "shape 10 1", "extract 2", "shape 20 1", "part 20",
    ]  # fmt: skip
    place.mend()
    retried = await site.post(f"/api/engine/runs/{run['id']}/retry")
    assert retried["id"] == run["id"]
    ended = await ended_again(site, run["id"])
    assert (ended["state"], ended["result"], ended["attempt"]) == ("COMPLETED", 51, 2)
    assert place.take() == ["part 20", "load [0, 10, 20, 21]"]


async def test_retry_from_a_task_runs_all_after_it_again(site: Site, place: Place) -> None:
    run = await site.trigger("mended", place=str(place.folder))
    await site.finished(run["id"])
    place.take()
    place.mend()
    await site.post(f"/api/engine/runs/{run['id']}/retry", {"from_key": "shape-1"})
    assert (await ended_again(site, run["id"]))["state"] == "COMPLETED"
    assert place.take() == ["shape 10 1", "extract 2", "shape 20 1", "part 20", "load [0, 10, 20, 21]"]


async def test_fork_with_other_parameters(site: Site, place: Place) -> None:
    place.mend()
    run = await site.trigger("mended", place=str(place.folder))
    assert (await site.finished(run["id"]))["state"] == "COMPLETED"
    place.take()
    same = await site.post(f"/api/engine/runs/{run['id']}/fork", {"from_key": "load-0"})
    assert (await site.finished(same["id"]))["result"] == 51
    assert place.take() == ["load [0, 10, 20, 21]"]
    other = await site.post(f"/api/engine/runs/{run['id']}/fork", {"parameters": {"factor": 2}})
    ended = await site.finished(other["id"])
    assert (ended["state"], ended["result"]) == ("COMPLETED", 101)
    assert ended["origin_run_id"] == run["id"]
    assert place.take() == ["shape 0 2", "shape 10 2", "shape 20 2", "part 40", "load [0, 20, 40, 41]"]
    tasks = await site.all(f"/api/engine/runs/{other['id']}/tasks")
    taken = Counter(task["name"] for task in tasks if task["origin_run_id"] is not None)
    assert taken == {"extract": 3}
    statistics = (await site.get("/api/statistics"))["tasks"]
    assert {one["task_name"]: one["sample_count"] for one in statistics} == {
        "extract": 3, "shape": 6, "part": 2, "load": 3,
    }  # fmt: skip
