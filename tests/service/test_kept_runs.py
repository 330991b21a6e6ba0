"""Runs that wait with their code in memory: it goes on where it stands, or is unwound and replayed."""

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from eventually import eventually
from worker_process import Eyes, WorkerProcess, Workers

from perfect_bus import Bus
from perfect_bus.bus import Connection
from perfect_bus.settings import Settings
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_schemas import ids, subjects
from perfect_schemas.commands import ResumeRun, SetLimit
from perfect_schemas.errors import Conflicting
from perfect_schemas.events import LogBatch, RunSuspended
from perfect_schemas.folds.history import History

FLOWS = Path(__file__).parent.parent / "flows" / "kept.py"
LAPS = ["lap 0", "task 0", "lap 1", "task 1", "lap 2", "task 2", "finally"]


class Place:
    """A system, whose workers keep the code of runs that wait for `suspend_after` seconds."""

    def __init__(self, bus: Bus, connection: Connection, settings: Settings, folder: Path) -> None:
        self.bus = bus
        self.path = str(folder / "trace")
        self._make = lambda after: Workers(
            connection, msgspec.structs.replace(settings, suspend_after=after), folder
        )
        self.all: list[Workers] = []
        self.eyes: Eyes

    async def worker(
        self, name: str = "w", *, suspend_after: float = 30, processes: int = 1, concurrency: int = 1
    ) -> WorkerProcess:
        workers = self._make(suspend_after)
        self.all.append(workers)
        self.eyes = Eyes(self.bus, workers)
        worker = workers.start(FLOWS, name=name, processes=processes, concurrency=concurrency)
        await self.eyes.connected(name)
        return worker

    def stop(self) -> None:
        for workers in self.all:
            workers.stop()

    @property
    def traced(self) -> list[str]:
        return Path(self.path).read_text().splitlines() if Path(self.path).exists() else []

    async def resume(self, run_id: str, value: Any = None, key: str | None = None) -> None:
        command = ResumeRun(run_id=run_id, by="test", input=value, event_id=ids.uuid7(), key=key)
        await self.bus.ask(subjects.command("engine", "resume"), command)

    async def until_waiting(self, run_id: str, *keys: str) -> History:
        """Paused, and for exactly these waits."""

        def holds(history: History) -> bool:
            run = history.run
            return (
                run is not None
                and run.state == "PAUSED"
                and {run.wait_key, *(wait.key for wait in run.beside)} == set(keys)
            )

        return await self.eyes.until(run_id, holds)

    async def suspensions(self, run_id: str) -> int:
        stored = await self.bus.read(subjects.run(run_id))
        return sum(isinstance(event, RunSuspended) for _, event in stored)


@pytest.fixture
async def place(
    bus: Bus, start_service, connection: Connection, settings: Settings, tmp_path: Path
) -> AsyncIterator[Place]:
    await start_service(RegistryService)
    await start_service(EngineService)
    made = Place(bus, connection, settings, tmp_path)
    yield made
    made.stop()


def value(history: History) -> Any:
    assert history.run.state == "COMPLETED", (history.run.error, history.run.reason)
    return msgspec.json.decode(history.run.result.value)


@pytest.mark.parametrize("flow", ["laps", "laps-async"])
async def test_code_goes_on_where_it_stands(place: Place, flow: str) -> None:
    await place.worker()
    run_id = await place.eyes.trigger(flow, path=place.path)
    done = await place.eyes.until_final(run_id)
    value(done)
    assert place.traced == LAPS
    assert done.run.epoch == 4
    assert [task.epoch for task in done.tasks.values()] == [1, 2, 3]
    if flow == "laps":
        batches = [event for _, event in await place.bus.read(subjects.log(run_id), stream="LOGS")]
        printed = [
            (batch.epoch, line.message)
            for batch in batches
            if isinstance(batch, LogBatch)
            for line in batch.lines
            if line.logger == "print"
        ]
        assert printed == [(n + 1, f"lap {n}") for n in range(3)]


@pytest.mark.parametrize("flow", ["laps", "laps-async"])
async def test_without_a_time_to_keep_it_the_code_is_called_again(place: Place, flow: str) -> None:
    await place.worker(suspend_after=0)
    value(await place.eyes.until_final(await place.eyes.trigger(flow, path=place.path, count=2)))
    assert place.traced == ["lap 0", "task 0", "finally", "lap 0", "lap 1", "task 1", "finally", "lap 0", "lap 1", "finally"]  # fmt: skip


async def test_code_is_unwound_when_its_time_in_memory_is_over(place: Place) -> None:
    await place.worker(suspend_after=0.1)
    run_id = await place.eyes.trigger("laps", path=place.path, seconds=60, count=1)
    await place.until_waiting(run_id, "sleep-0")
    await eventually(lambda: place.traced == ["lap 0", "task 0", "finally"])
    assert await place.suspensions(run_id) == 1


async def test_code_that_is_kept_takes_no_slot_and_other_runs_pass_by(place: Place) -> None:
    await place.worker()
    waiting = [await place.eyes.trigger("asked-twice", path=place.path) for _ in range(12)]
    for run_id in waiting:
        await place.until_waiting(run_id, "pause-0")
    value(await place.eyes.until_final(await place.eyes.trigger("laps", path=place.path, count=1, seconds=0)))
    for run_id in waiting:
        await place.resume(run_id, 1)
    for run_id in waiting:
        await place.until_waiting(run_id, "pause-1")
        await place.resume(run_id, 2)
        assert value(await place.eyes.until_final(run_id)) == [1, 2]
    assert sorted(place.traced) == sorted(["begin", "between", "asked"] * 12 + ["lap 0", "task 0", "finally"])


async def test_pause_resume_soon_and_pause_again(place: Place) -> None:
    await place.worker()
    run_id = await place.eyes.trigger("asked-twice", path=place.path)
    await place.until_waiting(run_id, "pause-0")
    await place.resume(run_id, 1)
    await place.until_waiting(run_id, "pause-1")
    await place.resume(run_id, 2)
    done = await place.eyes.until_final(run_id)
    assert value(done) == [1, 2]
    assert done.run.epoch == 3
    assert place.traced == ["begin", "between", "asked"]


@pytest.mark.parametrize("flow", ["laps", "laps-async"])
async def test_the_executor_that_keeps_the_code_is_killed(place: Place, flow: str) -> None:
    worker = await place.worker()
    run_id = await place.eyes.trigger(flow, path=place.path, count=2, seconds=1.5)
    await place.until_waiting(run_id, "sleep-0")
    for pid in worker.executors():
        os.kill(pid, signal.SIGKILL)
    done = await place.eyes.until_final(run_id)
    value(done)
    assert place.traced == ["lap 0", "task 0", "lap 0", "lap 1", "task 1", "finally"]


async def test_another_worker_takes_the_run_and_the_kept_code_writes_nothing(place: Place) -> None:
    first = await place.worker("first", suspend_after=30)
    run_id = await place.eyes.trigger("asked-twice", path=place.path)
    await place.until_waiting(run_id, "pause-0")
    for pid in [*first.executors(), first.pid]:  # it hears of nothing, and keeps the code
        os.kill(pid, signal.SIGSTOP)
    await place.worker("second")
    await place.resume(run_id, 1)
    await place.eyes.until(run_id, lambda h: h.run is not None and h.run.wait_key == "pause-1")
    os.kill(first.pid, signal.SIGCONT)
    for pid in first.executors():
        os.kill(pid, signal.SIGCONT)
    await place.resume(run_id, 2)
    done = await place.eyes.until_final(run_id)
    assert value(done) == [1, 2]
    stored = [event for _, event in await place.bus.read(subjects.run(run_id))]
    assert [event.epoch for event in stored if isinstance(event, RunSuspended)] == [1, 2]
    assert [event.type for event in stored].count("run.completed") == 1
    assert place.traced.count("asked") == 1
    assert (place.traced.count("begin"), place.traced.count("between")) in (
        (2, 1),
        (
            3,
            2,
        ),  # the first worker got it back at the end: its code of the first epoch is of no use, and it replays
    )


async def test_a_worker_that_stops_unwinds_what_it_keeps(place: Place) -> None:
    worker = await place.worker()
    run_id = await place.eyes.trigger("laps", path=place.path, seconds=60, count=1)
    await place.until_waiting(run_id, "sleep-0")
    worker.process.send_signal(signal.SIGTERM)
    assert await worker.exit_code(5) == 0
    assert place.traced == ["lap 0", "task 0", "finally"]


async def test_a_run_that_is_cancelled_while_its_code_is_kept(place: Place) -> None:
    await place.worker()
    run_id = await place.eyes.trigger("laps", path=place.path, seconds=60, count=1)
    await place.until_waiting(run_id, "sleep-0")
    await place.eyes.cancel(run_id)
    assert (await place.eyes.until_final(run_id)).run.state == "CANCELLED"
    await eventually(lambda: place.traced[-1] == "finally")
    last = (await place.bus.read(subjects.run(run_id)))[-1][1]
    assert last.type == "run.cancelled"


@pytest.mark.parametrize("suspend_after", [30, 0])
async def test_waits_side_by_side_are_waited_for_together(place: Place, suspend_after: float) -> None:
    await place.worker(suspend_after=suspend_after)
    run_id = await place.eyes.trigger("beside", path=place.path, seconds=1.0)
    paused = await place.eyes.until(
        run_id, lambda h: h.run is not None and h.run.state == "PAUSED" and len(h.run.beside) == 2
    )
    asleep = paused.run.wait_key
    with pytest.raises(Conflicting, match="'pause:a', 'pause:b'"):
        await place.resume(run_id, "x")
    await place.resume(run_id, "early", key="pause:b")
    await place.until_waiting(run_id, asleep, "pause:a")
    await place.until_waiting(run_id, "pause:a")
    with pytest.raises(Conflicting, match="'pause:a'"):
        await place.resume(run_id, "x", key="pause:b")
    await place.resume(run_id, "late")
    done = await place.eyes.until_final(run_id)
    assert value(done) == ["slept", "a late", "b early"]
    once = [text for text in place.traced if text != "begin"]
    assert once == ["b early", "slept", "a late"]
    assert place.traced.count("begin") == (1 if suspend_after else 4)


async def test_a_branch_with_work_to_do_is_not_stopped_by_one_that_waits(place: Place) -> None:
    await place.worker()
    run_id = await place.eyes.trigger("busy-beside", path=place.path)
    paused = await place.eyes.until_state(run_id, "PAUSED")
    assert sum(task.state == "COMPLETED" for task in paused.tasks.values()) == 4
    await place.resume(run_id, "x")
    assert value(await place.eyes.until_final(run_id)) == ["x", "worked"]
    assert await place.suspensions(run_id) == 1


async def test_the_code_around_a_child_run_that_waits_is_kept(place: Place) -> None:
    await place.worker()
    assert (
        value(await place.eyes.until_final(await place.eyes.trigger("outer", path=place.path)))
        == "inner slept"
    )
    assert place.traced == ["outer", "inner", "inner", "inner slept", "outer again"]


async def test_code_that_holds_a_slot_is_unwound_which_gives_it_back(place: Place) -> None:
    await place.worker()
    limit = SetLimit(name="database", slots=1, by="test")
    await place.bus.ask(subjects.command("engine", "set_limit"), limit)
    value(await place.eyes.until_final(await place.eyes.trigger("in-a-slot", path=place.path)))
    assert place.traced == ["in", "in", "held"]


async def test_code_whose_time_is_counted_is_unwound(place: Place) -> None:
    await place.worker()
    value(await place.eyes.until_final(await place.eyes.trigger("timed", path=place.path)))
    assert place.traced == ["begin", "begin", "slept"]
