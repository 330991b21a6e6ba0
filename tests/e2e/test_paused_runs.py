"""Pausing a run from outside on the real system: where it stops, what it holds meanwhile, and that it goes on."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from eventually import eventually
from running import FLOWS, Running, running
from site_client import Site

from perfect_bus import Guard, append
from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_runtime.verify import verify
from perfect_schemas import ids, subjects
from perfect_schemas.envelope import utc_now
from perfect_schemas.events import RunPausing
from perfect_schemas.folds.history import History


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "paused.py", concurrency=1)
        yield system


@pytest.fixture
async def site(system: Running) -> AsyncIterator[Site]:
    async with Site.of(system.system.url) as site:
        yield site
        report = await verify(system.bus)
        assert report.ok, "\n".join(report.differences[:20])


class Place:
    """Where the tasks leave their lines and wait at their gates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ran(self) -> list[str]:
        file = self.folder / "ran"
        return file.read_text().split() if file.exists() else []

    def shut(self, *names: str) -> None:
        for name in names:
            os.mkfifo(self.folder / f"gate-{name}")

    async def until(self, name: str) -> None:
        await eventually(lambda: name in self.ran())

    async def open(self, name: str, word: str = "go") -> None:
        """Let the task go on that waits there, and those that come to it later. `pausing`: once its process has heard
        that the run is to pause."""
        gate = self.folder / f"gate-{name}"
        await asyncio.to_thread(gate.write_text, word)
        gate.unlink()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def state(wanted: str) -> Callable[[History], bool]:
    return lambda history: history.run is not None and history.run.state == wanted


async def test_pause_and_resume(system: Running, site: Site, place: Place) -> None:
    place.shut("a", "c")
    run_id = await system.trigger("paused-parent", folder=str(place.folder))
    url = f"/api/engine/runs/{run_id}"
    await place.until("a")
    shown = await site.post(f"{url}/pause")
    assert (shown["state"], shown["pausing_by"]) == ("RUNNING", "api")
    assert "is being paused by api" in shown["waiting_for"]
    assert (await site.post(f"{url}/pause"))["state"] == "RUNNING"
    await place.open("a", "pausing")
    history = await system.until(run_id, state("PAUSED"))
    assert history.tasks["step-0"].state == "COMPLETED"
    assert place.ran() == ["a"]
    other = await system.trigger("brief", folder=str(place.folder))  # the only slot is free
    assert (await site.finished(other))["state"] == "COMPLETED"
    assert (await site.run(run_id))["waiting_for"] == "paused by api: goes on when it is resumed"
    await site.post(f"{url}/pause", status=409)
    await site.post(f"{url}/resume")
    await place.until("c")
    await site.post(f"{url}/pause")
    await place.open("c", "pausing")
    history = await system.until(run_id, lambda history: history.run.wait_key == "pausing-2")
    [child] = [one for one in history.tasks.values() if one.name == "paused-child"]
    assert (history.run.state, child.state) == ("PAUSED", "RUNNING")
    child_id = ids.child_run_id(run_id, child.key)
    sentence = f"paused with run {run_id}, which called it"

    async def is_said() -> bool:
        return (await site.run(child_id))["waiting_for"] == sentence

    await eventually(is_said)
    await site.post(f"/api/engine/runs/{child_id}/resume", status=409)
    await site.post(f"{url}/resume")
    ended = await site.finished(run_id)
    assert (ended["state"], ended["result"]) == ("COMPLETED", "abcde")
    assert place.ran() == ["a", "brief", "b", "c", "d", "e"]
    await site.post(f"{url}/pause", status=409)


async def test_a_lost_message_is_found_by_the_guard(system: Running, site: Site, place: Place) -> None:
    place.shut("a")
    run_id = await system.trigger("paused-parent", folder=str(place.folder))
    await place.until("a")
    subject = subjects.run(run_id)
    [*_, (seq, _)] = await system.bus.read(subject)
    event = RunPausing(id=ids.uuid7(), at=utc_now(), source="engine", run_id=run_id, epoch=1, by="ann")
    await append(system.bus, subject, event, Guard(subject, seq))
    await place.open("a")
    await system.until(run_id, state("PAUSED"))
    assert place.ran() == ["a"]
    await site.post(f"/api/engine/runs/{run_id}/resume")
    assert (await site.finished(run_id))["result"] == "abcde"
    assert place.ran() == list("abcde")


async def test_cancel_while_it_is_being_paused_and_while_it_is(
    system: Running, site: Site, place: Place
) -> None:
    place.shut("a")
    run_id = await system.trigger("paused-parent", folder=str(place.folder))
    await place.until("a")
    await site.post(f"/api/engine/runs/{run_id}/pause")
    await site.post(f"/api/engine/runs/{run_id}/cancel")
    await place.open("a")
    assert (await site.finished(run_id))["state"] == "CANCELLED"
    place.shut("c")
    run_id = await system.trigger("paused-parent", folder=str(place.folder))
    await place.until("c")
    await site.post(f"/api/engine/runs/{run_id}/pause")
    await place.open("c", "pausing")
    history = await system.until(run_id, state("PAUSED"))
    child_id = ids.child_run_id(run_id, next(key for key in history.tasks if key.startswith("paused-child")))
    await site.post(f"/api/engine/runs/{run_id}/cancel")
    assert (await site.finished(run_id))["state"] == "CANCELLED"
    assert (await site.finished(child_id))["state"] == "CANCELLED"


async def test_killed_between_pausing_and_paused(system: Running, site: Site, place: Place) -> None:
    place.shut("b")
    run_id = await system.trigger("paused-parent", folder=str(place.folder))
    await place.until("b")
    await site.post(f"/api/engine/runs/{run_id}/pause")
    [executor] = system.workers[0].executors()
    os.kill(executor, signal.SIGKILL)
    history = await system.until(run_id, state("PAUSED"))
    assert (history.run.epoch, history.run.wait_key) == (2, "pausing-2")
    assert place.ran() == ["a", "b"]  # it stopped before it would have begun again
    (place.folder / "gate-b").unlink()
    await site.post(f"/api/engine/runs/{run_id}/resume")
    assert (await site.finished(run_id))["result"] == "abcde"
    assert place.ran() == list("abbcde")


async def test_branches_stop_together_and_code_pauses_another_run(
    system: Running, site: Site, place: Place
) -> None:
    await system.worker(FLOWS / "paused.py", name="w2", concurrency=1)
    place.shut("x1", "y1", "z1")
    run_id = await system.trigger("paused-branches", folder=str(place.folder))
    for name in ("x1", "y1", "z1"):
        await place.until(name)
    pausing = await system.trigger("pauses-another", run_id=run_id)
    assert (await site.finished(pausing))["state"] == "COMPLETED"
    for name in ("x1", "y1", "z1"):
        await place.open(name, "pausing")
    history = await system.until(run_id, state("PAUSED"))
    assert (history.run.pausing_by, history.run.wait_key) == ("perfect_sdk", "pausing-1")
    await site.post(f"/api/engine/runs/{run_id}/resume")
    ended = await site.finished(run_id)
    assert (ended["state"], ended["result"]) == ("COMPLETED", ["x1x2", "y1y2", "z1z2"])
    assert sorted(place.ran()) == ["x1", "x2", "y1", "y2", "z1", "z2"]
    failed = await system.trigger("pauses-another", run_id=run_id)
    ended = await site.finished(failed)
    assert ended["state"] == "FAILED"
    assert "has ended already (COMPLETED)" in ended["error"]["message"]
