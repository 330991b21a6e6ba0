"""Cached tasks and transactions with real workers, engine and nats-server: across runs, and across kills."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from worker_process import Eyes, Workers

from perfect_bus import Bus
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_schemas import subjects
from perfect_sdk.caching.cache_bucket import STREAM

FLOWS = Path(__file__).parent.parent / "flows" / "cached.py"


@pytest.fixture
async def eyes(bus: Bus, start_service, workers: Workers) -> AsyncIterator[Eyes]:
    await start_service(RegistryService)
    await start_service(EngineService)
    workers.start(FLOWS)
    eyes = Eyes(bus, workers)
    await eyes.connected()
    return eyes


def states(run) -> dict[str, str]:
    return {key: life.state.value for key, life in run.tasks.items()}


async def test_another_run_takes_results_over(eyes: Eyes, bus: Bus, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    sizes = [3, 300_000]  # the second one is kept outside of events
    first = await eyes.until_final(await eyes.trigger("cached", path=str(path), sizes=sizes))
    assert first.run.state == "COMPLETED", first.run.error
    assert first.run.name == "[3, 300000] into a file"
    assert states(first) == {"load-0": "COMPLETED", "load-1": "COMPLETED"}
    second = await eyes.until_final(await eyes.trigger("cached", path=str(path), sizes=[300_000, 3, 4]))
    assert second.run.state == "COMPLETED", second.run.error
    assert bytes(second.run.result.value) == b"[300000,3,4]"
    assert states(second) == {"load-0": "CACHED", "load-1": "CACHED", "load-2": "COMPLETED"}
    assert second.tasks["load-0"].result.ref == first.tasks["load-1"].result.ref
    assert second.tasks["load-0"].run_name == "load 300000"
    assert path.read_text().splitlines() == ["load 3", "load 300000", "load 4"]
    kept, _ = await bus.last_of_each(subjects.cached("*"), stream=STREAM)
    assert len(kept) == 3


async def test_a_killed_run_finds_its_hits_in_its_history(eyes: Eyes, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    await eyes.until_final(await eyes.trigger("cached", path=str(path), sizes=[1]))
    run = await eyes.until_final(await eyes.trigger("cached", path=str(path), sizes=[1, 2], dies=True))
    assert run.run.state == "COMPLETED", run.run.error
    assert run.run.epoch == 2
    assert states(run) == {"load-0": "CACHED", "load-1": "COMPLETED"}
    assert [run.tasks[key].epoch for key in ("load-0", "load-1")] == [1, 1]
    assert path.read_text().splitlines() == ["load 1", "load 2"]


async def test_a_killed_run_commits_what_is_left_to_commit(eyes: Eyes, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    run = await eyes.until_final(await eyes.trigger("booked", path=str(path), fails=False))
    assert run.run.state == "COMPLETED", run.run.error
    assert run.run.epoch == 2
    assert bytes(run.run.result.value) == b'"paid"'
    # The first confirmation was cut off before it was recorded, so it is the one thing that ran twice.
    assert path.read_text().splitlines() == ["flight", "hotel", "confirmed", "confirmed", "confirmed"]


async def test_a_killed_run_undoes_what_it_did_before(eyes: Eyes, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    run = await eyes.until_final(await eyes.trigger("booked", path=str(path), fails=True))
    assert run.run.state == "FAILED"
    assert run.run.epoch == 2
    assert path.read_text().splitlines() == ["flight", "hotel", "cancelled", "cancelled"]
    assert states(run)["book-1/rollback~0/cancel-0"] == "COMPLETED"
