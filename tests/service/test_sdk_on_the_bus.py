"""The SDK's own promises with a real worker, engine and nats-server: flow retries, child runs, large results, logs."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from worker_process import Eyes, Workers

from perfect_bus import Bus
from perfect_bus.claim import read_history
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_schemas import ids, subjects
from perfect_schemas.events import LogBatch

FLOWS = Path(__file__).parent.parent / "flows" / "retried.py"


@pytest.fixture
async def eyes(bus: Bus, start_service, workers: Workers) -> AsyncIterator[Eyes]:
    await start_service(RegistryService)
    await start_service(EngineService)
    workers.start(FLOWS)
    eyes = Eyes(bus, workers)
    await eyes.connected()
    return eyes


async def test_a_flow_is_tried_again_by_the_engine(eyes: Eyes, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    run = await eyes.until_final(await eyes.trigger("tried-again", path=str(path)))
    assert run.run.state == "COMPLETED", run.run.error
    assert bytes(run.run.result.value) == b'"at last 300000"'
    assert path.read_text().split() == ["good", "bad", "bad", "bad"]
    assert run.run.tries == 2
    assert run.run.epoch == 3
    assert run.tasks["good-0"].result.ref is not None
    assert run.tasks["good-0"].epoch == 1
    assert run.tasks["bad-0"].epoch == 3


async def test_child_runs_have_a_life_of_their_own(eyes: Eyes, bus: Bus) -> None:
    run_id = await eyes.trigger("parent", n=4)
    run = await eyes.until_final(run_id)
    assert run.run.state == "COMPLETED", run.run.error
    assert bytes(run.run.result.value) == b"[6,1,3,0,1,2,3]"
    for key, n in (("child-0", 4), ("child-1", 2), ("child-2", 3)):
        child = await read_history(bus, ids.child_run_id(run_id, key))
        assert child.run.state == "COMPLETED"
        assert child.run.origin == "child"
        assert child.run.parent_run_id == run_id
        assert child.run.parent_task_key == key
        assert len(child.tasks) == n
        lines = [
            line.message
            for _, batch in await bus.read(subjects.log(child.run.id), stream="LOGS")
            if isinstance(batch, LogBatch)
            for line in batch.lines
        ]
        assert lines == [f"child {n}"]
