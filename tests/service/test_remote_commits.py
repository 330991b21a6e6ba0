"""Hooks of tasks that a task on another worker calls: there, and once."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from worker_process import Eyes, Workers

from perfect_bus import Bus
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService

FLOWS = Path(__file__).parent.parent / "flows" / "committed.py"


@pytest.fixture
async def eyes(bus: Bus, start_service, workers: Workers) -> AsyncIterator[Eyes]:
    await start_service(RegistryService)
    await start_service(EngineService)
    seen = Eyes(bus, workers)
    for name, options in (("here", {}), ("gpu", {"queue": "gpu"})):
        workers.start(FLOWS, name=name, processes=1, **options)
        await seen.connected(name)
    return seen


def ran(path: Path) -> Counter[str]:
    return Counter(line.split()[1] for line in path.read_text().splitlines())


@pytest.mark.parametrize("fails", [False, True])
async def test_hooks_of_nested_tasks_run_once_where_the_task_runs(
    eyes: Eyes, tmp_path: Path, fails: bool
) -> None:
    path = tmp_path / "trace"
    run = await eyes.until_final(await eyes.trigger("booked", path=str(path), fails=fails))
    assert run.run.state == ("FAILED" if fails else "COMPLETED"), run.run.error
    hook = {"rollback-inner": 2} if fails else {"commit-inner": 2, "outer": 1}
    assert ran(path) == {"inner-1": 1, "inner-2": 1, **hook}
    assert len({line.split()[0] for line in path.read_text().splitlines()}) == 1
    recorded = Counter(key.rpartition("/")[2].split("-")[0] for key in run.tasks)
    assert recorded["undone" if fails else "kept"] == 2
