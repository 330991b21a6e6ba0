"""Kill -9 of each part in the middle of a flow of 1,000 tasks: it comes back, the run completes, nothing is done twice,
and the read model equals a fold of the stream."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from chaos import seeded
from running import FLOWS, running

from perfect_bus.settings import Settings
from perfect_runtime.verify import verify

TASKS = 1000
GATE = 900  # it is not passed before the kill: who watches a run of 3,000 tasks/s may be late


@pytest.mark.timeout(150)
@pytest.mark.parametrize("victim", ["registry", "engine", "projector", "gateway", "nats-server", "executor"])
async def test_a_run_survives_the_death_of(victim: str, settings: Settings, tmp_path: Path) -> None:
    kill_at = seeded(victim).randrange(50, TASKS - 300)
    trace = tmp_path / "trace"
    async with running(settings) as system:
        worker = await system.worker(FLOWS / "counting.py")
        run_id = await system.trigger("counting", path=str(trace), count=TASKS, gate=GATE)
        await system.until(run_id, lambda history: completed(history) >= kill_at)
        pid = worker.executors()[0] if victim == "executor" else system.pid_of(victim)
        os.kill(pid, signal.SIGKILL)
        Path(f"{trace}.open").touch()
        history = await system.until_final(run_id)

        assert history.run is not None
        assert history.run.state == "COMPLETED", history.run.error
        assert completed(history) == TASKS
        bodies = Counter(int(line) for line in trace.read_text().split())
        assert set(bodies) == set(range(TASKS))
        assert bodies.total() <= TASKS + (victim == "executor"), "a completed task ran again"
        assert history.run.epoch == (2 if victim == "executor" else 1)

        await system.system.wait_ready()
        if victim not in ("executor", "nats-server"):
            assert system.pid_of(victim) != pid
        report = await verify(system.bus)
        assert report.ok, "\n".join(report.differences[:20])
        assert report.task_runs == TASKS


def completed(history) -> int:
    return sum(task.state == "COMPLETED" for task in history.tasks.values())
