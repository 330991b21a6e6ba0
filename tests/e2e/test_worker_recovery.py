"""Whoever is killed, or stands still: the run ends COMPLETED, and no completed task's body runs again."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

from worker_process import Eyes, Workers

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_schemas import subjects
from perfect_schemas.events import RunCompleted, RunStarted, TaskCompleted
from perfect_schemas.folds.history import History

FLOWS = Path(__file__).parent.parent / "flows" / "worked.py"
COUNT = 200


async def check(bus: Bus, run_id: str, history: History, path: str) -> None:
    """The run completed; each task completed once, and its body ran again only if its first run was cut short."""
    assert history.run.state == "COMPLETED"
    assert bytes(history.run.result.value) == str(sum(range(COUNT))).encode()
    on_run = await bus.read(subjects.run(run_id))
    on_tasks = await bus.read(subjects.task(run_id))
    assert sum(isinstance(event, RunCompleted) for _, event in on_run) == 1
    completed = Counter(event.task_key for _, event in on_tasks if isinstance(event, TaskCompleted))
    assert len(completed) == COUNT
    assert set(completed.values()) == {1}
    bodies = Counter(Path(path).read_text().split())
    assert len(bodies) == COUNT
    interrupted = sum(count - 1 for count in bodies.values())
    epochs = sum(isinstance(event, RunStarted) for _, event in on_run)
    assert interrupted <= epochs - 1  # only the one that was running when its process ended


async def test_kill_9_of_executors(eyes: Eyes, workers: Workers, path: str, bus: Bus) -> None:
    worker = workers.start(FLOWS, processes=1)
    await eyes.connected()
    run = await eyes.trigger("steps", path=path, count=COUNT, seconds=0.02)
    for done in (20, 60, 100):
        await eyes.until_tasks(run, done)
        [executor] = worker.executors()
        os.kill(executor, signal.SIGKILL)
    history = await eyes.until_final(run)
    await check(bus, run, history, path)
    assert history.run.epoch == 4
    assert history.run.client_name == "w"


async def test_kill_9_of_the_supervisor(eyes: Eyes, workers: Workers, path: str, bus: Bus) -> None:
    both = {name: workers.start(FLOWS, name=name) for name in ("first", "second")}
    for name in both:
        await eyes.connected(name)
    run = await eyes.trigger("steps", path=path, count=COUNT, seconds=0.02)
    killed = (await eyes.until_tasks(run, 60)).run.client_name
    both[killed].kill()
    history = await eyes.until_final(run)
    await check(bus, run, history, path)
    assert history.run.client_name == (set(both) - {killed}).pop()


async def test_a_zombie_changes_nothing(
    eyes: Eyes, workers: Workers, path: str, bus: Bus, settings: Settings
) -> None:
    """Supervisor and executors stand still for longer than the lease; another worker finishes the run meanwhile."""
    first = workers.start(FLOWS, name="first")
    await eyes.connected("first")
    run = await eyes.trigger("steps", path=path, count=COUNT, seconds=0.01)
    await eyes.until_tasks(run, 40)
    everyone = [*first.executors(), first.pid]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    workers.start(FLOWS, name="second")
    await eyes.connected("second")
    history = await eyes.until_final(run)
    await check(bus, run, history, path)
    assert history.run.client_name == "second"
    last = (await bus.js.stream_info("EVENTS")).state.last_seq
    for pid in everyone:  # the executors first: they may write before their supervisor has ended them
        os.kill(pid, signal.SIGCONT)
    await asyncio.to_thread(_until_log, first, "was suspended")
    later = [
        seq
        for subject in (subjects.run(run), subjects.task(run))
        for seq, event in await bus.read(subject, after=last)
        if not isinstance(event, RunStarted) and event.type != "task.started"
    ]
    assert later == []
    again = await eyes.trigger("steps", path=path + ".again", count=20, seconds=0.01)
    assert (await eyes.until_final(again)).run.state == "COMPLETED"


def _until_log(worker, text: str) -> None:
    """Blocks until the worker has said so."""
    import time

    deadline = time.monotonic() + 60
    while text not in worker.log:
        assert time.monotonic() < deadline, worker.log
        time.sleep(0.02)


async def test_the_machine_as_a_whole_pauses(eyes: Eyes, workers: Workers, path: str, bus: Bus) -> None:
    """A short stop, within the lease, is nobody's business."""
    worker = workers.start(FLOWS, processes=1)
    await eyes.connected()
    run = await eyes.trigger("steps", path=path, count=COUNT, seconds=0.005)
    await eyes.until_tasks(run, 40)
    everyone = [*worker.executors(), worker.pid]
    for pid in everyone:
        os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(0.5)
    for pid in everyone:
        os.kill(pid, signal.SIGCONT)
    history = await eyes.until_final(run)
    await check(bus, run, history, path)
    assert history.run.epoch == 1
