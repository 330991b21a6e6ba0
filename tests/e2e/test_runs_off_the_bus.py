"""Runs whose events have left the bus, on the real system: shown, tried again, forked, and what runs for it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from eventually import eventually
from running import FLOWS, Running, running
from site_client import FINAL, Site

from perfect_bus.purging import subjects_on
from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_runtime.verify import verify


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    settings = msgspec.structs.replace(settings, purge_after_s=0.5)
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "mended.py")
        yield system


@pytest.fixture
async def site(system: Running) -> AsyncIterator[Site]:
    async with Site.of(system.system.url) as site:
        yield site
        report = await verify(system.bus)
        assert report.ok, "\n".join(report.differences[:20])


def ran(place: Path) -> list[str]:
    """What ran since the last look."""
    file = place / "ran"
    lines = file.read_text().splitlines() if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


async def until_nothing_is_left(system: Running) -> None:
    async def is_empty() -> bool:
        return not await subjects_on(system.bus, "EVENTS", "perfect.evt.*.*")

    await eventually(is_empty, every_s=0.1)


async def ended_again(site: Site, run_id: str) -> dict[str, Any]:
    async def shown() -> dict[str, Any] | None:
        run = await site.run(run_id)
        return run if run["attempt"] == 2 and run["state"] in FINAL else None

    return await eventually(shown)


@pytest.mark.parametrize(
    ("from_key", "again"),
    [
        (None, ["part 20", "load [0, 10, 20, 21]"]),
        ("shape-1", ["shape 10 1", "extract 2", "shape 20 1", "part 20", "load [0, 10, 20, 21]"]),
    ],
)
async def test_retry(
    system: Running, site: Site, tmp_path: Path, from_key: str | None, again: list[str]
) -> None:
    run = await site.trigger("mended", place=str(tmp_path))
    assert (await site.finished(run["id"]))["state"] == "FAILED"
    await until_nothing_is_left(system)
    ran(tmp_path)
    (tmp_path / "mended").touch()
    await site.post(f"/api/engine/runs/{run['id']}/retry", {"from_key": from_key} if from_key else None)
    ended = await ended_again(site, run["id"])
    assert (ended["state"], ended["result"]) == ("COMPLETED", 51)
    assert ran(tmp_path) == again
    await until_nothing_is_left(system)
    assert (await site.run(run["id"]))["state"] == "COMPLETED"


async def test_fork(system: Running, site: Site, tmp_path: Path) -> None:
    (tmp_path / "mended").touch()
    run = await site.trigger("mended", place=str(tmp_path))
    assert (await site.finished(run["id"]))["state"] == "COMPLETED"
    await until_nothing_is_left(system)
    ran(tmp_path)
    other = await site.post(f"/api/engine/runs/{run['id']}/fork", {"from_key": "load-0"})
    assert (await site.finished(other["id"]))["result"] == 51
    assert ran(tmp_path) == ["load [0, 10, 20, 21]"]
