"""Whoever dies while another worker runs a task: its result counts once, and its body runs again only when the worker
that ran it is gone.
"""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from running import running
from worker_process import Eyes, Workers

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_runtime.verify import verify
from perfect_schemas import subjects
from perfect_schemas.events import RunCompleted, TaskCompleted, TaskQueued, TaskStarted
from perfect_schemas.folds.history import History

FLOWS = Path(__file__).parent.parent / "flows" / "remote.py"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return tmp_path / "gate"


def bodies(path: str) -> Counter[str]:
    file = Path(path)
    return Counter(line.split()[1] for line in file.read_text().splitlines()) if file.exists() else Counter()


async def until_bodies(path: str, name: str, count: int = 1) -> None:
    async with asyncio.timeout(20):
        while bodies(path)[name] < count:
            await asyncio.sleep(0.02)


async def of_key(bus: Bus, run_id: str, key: str, kind: type) -> list[Any]:
    return [e for _, e in await bus.read(subjects.task(run_id)) if isinstance(e, kind) and e.task_key == key]


async def check(bus: Bus, run_id: str, history: History) -> None:
    assert history.run.state == "COMPLETED", history.run.error
    assert msgspec.json.decode(history.run.result.value) == 1 + 49 + 2
    assert sum(isinstance(event, RunCompleted) for _, event in await bus.read(subjects.run(run_id))) == 1
    assert {task.state for task in history.tasks.values()} == {"COMPLETED"}


async def test_kill_9_of_the_workers_executor(
    eyes: Eyes, workers: Workers, path: str, gate: Path, bus: Bus
) -> None:
    """Its supervisor begins the task again by itself: nobody else need know."""
    workers.start(FLOWS, name="here", processes=1)
    gpu = workers.start(FLOWS, name="gpu", processes=1, queue="gpu")
    await eyes.connected("here")
    await eyes.connected("gpu")
    run_id = await eyes.trigger("gated", path=path, gate=str(gate))
    await until_bodies(path, "there-7")
    [executor] = gpu.executors()
    os.kill(executor, signal.SIGKILL)
    await until_bodies(path, "there-7", 2)
    gate.touch()
    await check(bus, run_id, await eyes.until_final(run_id))
    assert bodies(path) == {"here-1": 1, "there-7": 2, "here-2": 1}
    assert len(await of_key(bus, run_id, "there-0", TaskQueued)) == 1


async def test_kill_9_of_the_whole_worker(
    eyes: Eyes, workers: Workers, path: str, gate: Path, bus: Bus
) -> None:
    workers.start(FLOWS, name="here", processes=1)
    gpu = workers.start(FLOWS, name="gpu", processes=1, queue="gpu")
    await eyes.connected("here")
    await eyes.connected("gpu")
    run_id = await eyes.trigger("gated", path=path, gate=str(gate))
    await until_bodies(path, "there-7")
    workers.start(FLOWS, name="gpu2", processes=1, queue="gpu")
    await eyes.connected("gpu2")
    gpu.kill()
    await until_bodies(path, "there-7", 2)
    gate.touch()
    history = await eyes.until_final(run_id)
    await check(bus, run_id, history)
    assert not history.run.interrupted
    assert bodies(path) == {"here-1": 1, "there-7": 2, "here-2": 1}
    first, second = await of_key(bus, run_id, "there-0", TaskQueued)
    assert second.replaces == first.dispatch_id
    assert len(await of_key(bus, run_id, "there-0", TaskCompleted)) == 1


@pytest.mark.parametrize("whole", [False, True], ids=["executor", "supervisor"])
@pytest.mark.parametrize("done_first", [False, True], ids=["still works", "is done meanwhile"])
async def test_kill_9_of_the_run_that_waits(
    eyes: Eyes, workers: Workers, path: str, gate: Path, bus: Bus, whole: bool, done_first: bool
) -> None:
    """The task goes on, and the resumed run waits for it, or finds its result."""
    here = workers.start(FLOWS, name="here", processes=1)
    workers.start(FLOWS, name="gpu", processes=1, queue="gpu")
    await eyes.connected("here")
    await eyes.connected("gpu")
    run_id = await eyes.trigger("gated", path=path, gate=str(gate))
    await until_bodies(path, "there-7")
    if whole:
        here.kill()
    else:
        [executor] = here.executors()
        os.kill(executor, signal.SIGKILL)
    if done_first:
        gate.touch()
        await eyes.until(
            run_id, lambda h: h.tasks["there-0"].state == "COMPLETED" if "there-0" in h.tasks else 0
        )
    if whole:
        workers.start(FLOWS, name="here2", processes=1)
    await eyes.until(run_id, lambda h: h.run is not None and h.run.epoch == 2)
    gate.touch()
    history = await eyes.until_final(run_id)
    await check(bus, run_id, history)
    assert bodies(path) == {"here-1": 1, "there-7": 1, "here-2": 1}
    assert len(await of_key(bus, run_id, "there-0", TaskQueued)) == 1
    assert len(await of_key(bus, run_id, "there-0", TaskCompleted)) == 1


async def test_kill_9_of_both(eyes: Eyes, workers: Workers, path: str, gate: Path, bus: Bus) -> None:
    here = workers.start(FLOWS, name="here", processes=1)
    gpu = workers.start(FLOWS, name="gpu", processes=1, queue="gpu")
    await eyes.connected("here")
    await eyes.connected("gpu")
    run_id = await eyes.trigger("gated", path=path, gate=str(gate))
    await until_bodies(path, "there-7")
    here.kill()
    gpu.kill()
    workers.start(FLOWS, name="here2", processes=1)
    workers.start(FLOWS, name="gpu2", processes=1, queue="gpu")
    await until_bodies(path, "there-7", 2)
    gate.touch()
    await check(bus, run_id, await eyes.until_final(run_id))
    assert bodies(path) == {"here-1": 1, "there-7": 2, "here-2": 1}


async def test_a_worker_that_stood_still_changes_nothing(
    eyes: Eyes, workers: Workers, path: str, gate: Path, bus: Bus
) -> None:
    """Stopped for longer than its lease, it is replaced; awake again, what it says does not count."""
    workers.start(FLOWS, name="here", processes=1)
    gpu = workers.start(FLOWS, name="gpu", processes=1, queue="gpu")
    await eyes.connected("here")
    first = await eyes.connected("gpu")
    run_id = await eyes.trigger("gated", path=path, gate=str(gate))
    await until_bodies(path, "there-7")
    everyone = [*gpu.executors(), gpu.pid]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    workers.start(FLOWS, name="gpu2", processes=1, queue="gpu")
    second = await eyes.connected("gpu2")
    await until_bodies(path, "there-7", 2)
    gate.touch()
    history = await eyes.until_final(run_id)
    for pid in everyone:  # the executor first: it may write before its supervisor has ended it
        os.kill(pid, signal.SIGCONT)
    await check(bus, run_id, history)
    claims = await of_key(bus, run_id, "there-0", TaskStarted)
    assert [claim.client_id for claim in claims] == [first.client_id, second.client_id]
    assert history.tasks["there-0"].client_id == second.client_id


async def test_a_task_that_kills_its_executors_fails(eyes: Eyes, workers: Workers, path: str) -> None:
    workers.start(FLOWS, name="here", processes=1)
    workers.start(FLOWS, name="gpu", processes=1, queue="gpu")
    await eyes.connected("here")
    await eyes.connected("gpu")
    run = await eyes.until_final(await eyes.trigger("mortal", path=path))
    assert run.run.state == "COMPLETED", run.run.error
    assert b"LostTask: the executor that ran it died 3 times in a row" in bytes(run.run.result.value)
    assert bodies(path) == {"deadly": 3}


async def test_a_worker_that_leaves_in_order_is_replaced(
    eyes: Eyes, workers: Workers, path: str, gate: Path, bus: Bus
) -> None:
    workers.start(FLOWS, name="here", processes=1)
    gpu = workers.start(FLOWS, name="gpu", processes=1, queue="gpu", drain=0.2)
    await eyes.connected("here")
    await eyes.connected("gpu")
    run_id = await eyes.trigger("gated", path=path, gate=str(gate))
    await until_bodies(path, "there-7")
    workers.start(FLOWS, name="gpu2", processes=1, queue="gpu")
    await eyes.connected("gpu2")
    gpu.signal(signal.SIGTERM)
    await until_bodies(path, "there-7", 2)
    gate.touch()
    await check(bus, run_id, await eyes.until_final(run_id))


@pytest.mark.timeout(120)
async def test_the_read_model_agrees_after_all_of_it(settings: Settings, path: str, gate: Path) -> None:
    """A whole system: nats-server and the run's worker are killed in the middle of a map."""
    async with running(settings) as system:
        here = await system.worker(FLOWS, name="here")
        await system.worker(FLOWS, name="gpu", queue="gpu")
        run_id = await system.trigger("mapped", path=path, count=200, gate=str(gate))
        await system.until(run_id, lambda h: sum(t.state == "COMPLETED" for t in h.tasks.values()) >= 20)
        os.kill(system.pid_of("nats-server"), signal.SIGKILL)
        await system.until(run_id, lambda h: sum(t.state == "COMPLETED" for t in h.tasks.values()) >= 100)
        here.kill()
        gate.touch()
        await system.worker(FLOWS, name="here2")
        history = await system.until_final(run_id)
        assert history.run.state == "COMPLETED", history.run.error
        assert msgspec.json.decode(history.run.result.value) == sum(n * n for n in range(200))
        assert history.run.epoch == 2
        assert set(bodies(path).values()) == {1}
        report = await verify(system.bus)
        assert report.ok, report.differences
