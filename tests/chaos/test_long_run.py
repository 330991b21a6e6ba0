"""The executor of a run of thousands of tasks is killed in its last one: the run is back where it was in no time."""

import asyncio
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chaos import FULL, Witness
from eventually import eventually
from running import FLOWS, running

from perfect_bus.settings import Settings
from perfect_schemas.events import RunCompleted, RunStarted, TaskStarted

TASKS = 10_000 if FULL else 2_000
LIMIT_S = 2.0
KILLS = 2  # the faster recovery counts: the machine may be busy with something else during one


@pytest.mark.timeout(180)
async def test_the_last_task_of_a_long_run(settings: Settings, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    async with running(settings) as system, Witness(system.bus).watching() as witness:
        worker = await system.worker(FLOWS / "traced.py", processes=1)
        run_id = await system.trigger("Long", path=str(marker), tasks=TASKS, times=KILLS)
        took: list[float] = []

        def beginning(epoch: int) -> TaskStarted | None:
            """Of the last task in that epoch."""
            event = witness.events[run_id][-1][1]
            is_it = isinstance(event, TaskStarted) and event.name == "wait_at_first" and event.epoch == epoch
            return event if is_it else None

        await witness.until(lambda: beginning(1), 120, what="the last task")
        for kill in range(1, KILLS + 1):
            await eventually(lambda kill=kill: marker.exists() and marker.read_text().count("\n") == kill)
            [executor] = worker.executors()
            killed, at = asyncio.get_running_loop().time(), datetime.now(UTC)
            os.kill(executor, signal.SIGKILL)
            await witness.until(
                lambda kill=kill: beginning(kill + 1) or witness.state(run_id).is_final,
                30,
                what="the last task, again",
            )
            took.append(asyncio.get_running_loop().time() - killed)
            claimed = next(
                event.at
                for _, event in witness.events[run_id]
                if isinstance(event, RunStarted) and event.epoch == kill + 1
            )
            print(
                f"{TASKS} tasks: claimed {(claimed - at).total_seconds():.2f} s after the kill, "
                f"in the last task after {took[-1]:.2f} s"
            )
        history = await witness.until_final(run_id)
        assert history.run.state == "COMPLETED"
        assert history.run.epoch == KILLS + 1
        assert len(history.tasks) == TASKS
        assert marker.read_text().count("\n") == KILLS + 1
        events = [event for _, event in witness.events[run_id]]
        assert sum(event.type == "task.completed" for event in events) == TASKS
        assert sum(event.type == "task.started" for event in events) == TASKS + KILLS
        assert sum(isinstance(event, RunCompleted) for event in events) == 1
        assert min(took) <= LIMIT_S
