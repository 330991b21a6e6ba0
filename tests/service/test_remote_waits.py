"""Runs that wait for distributed tasks hold no slot, and go on as soon as one has ended."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from eventually import eventually
from worker_process import Eyes, WorkerProcess, Workers

from perfect_bus import Bus
from perfect_bus.bus import Connection
from perfect_bus.claim import read_history
from perfect_bus.settings import Settings
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_schemas import subjects
from perfect_schemas.commands import SetLimit
from perfect_schemas.events import RunResumed, RunStarted, RunSuspended, TaskQueued
from perfect_schemas.folds.history import History

FLOWS = Path(__file__).parent.parent / "flows" / "far.py"


class Far:
    """A system; workers of one place each, "here" for runs and "gpu" for tasks."""

    def __init__(
        self, bus: Bus, connection: Connection, settings: Settings, folder: Path, services: Callable[..., Any]
    ) -> None:
        self.bus = bus
        self.path = str(folder / "trace")
        self.services = services
        self._make = lambda after: Workers(
            connection, msgspec.structs.replace(settings, suspend_after=after), folder
        )
        self.all: list[Workers] = []
        self.eyes: Eyes

    async def worker(
        self, name: str, *, suspend_after: float = 30, concurrency: int = 1, **options: Any
    ) -> WorkerProcess:
        workers = self._make(suspend_after)
        self.all.append(workers)
        self.eyes = Eyes(self.bus, workers)
        worker = workers.start(FLOWS, name=name, processes=1, concurrency=concurrency, **options)
        await self.eyes.connected(name)
        return worker

    async def gpu(self, name: str = "gpu", concurrency: int = 4) -> WorkerProcess:
        return await self.worker(name, queue="gpu", concurrency=concurrency)

    def stop(self) -> None:
        for workers in self.all:
            workers.stop()

    def open(self, *names: str) -> None:
        """Let these tasks end."""
        for name in names:
            Path(f"{self.path}-{name}").touch()

    @property
    def traced(self) -> Counter[str]:
        file = Path(self.path)
        return (
            Counter(line.split()[0] for line in file.read_text().splitlines()) if file.exists() else Counter()
        )

    async def began(self, name: str, count: int = 1) -> None:
        await eventually(lambda: self.traced[name] >= count)

    async def waiting(self, run_id: str, count: int = 1, epoch: int = 1) -> History:
        """Suspended for so many tasks."""

        def holds(history: History) -> bool:
            run = history.run
            if run is None or run.state != "PAUSED" or run.epoch != epoch:
                return False
            return run.awaited is not None and run.awaited.count == count

        return await self.eyes.until(run_id, holds)

    async def patience_is_over(self) -> None:
        """Of a run that waited before: another one, elsewhere, has been suspended since."""
        other = await self.worker("other")
        run_id = await self.eyes.trigger("mapped", path=self.path, names=["other"])
        await self.waiting(run_id)
        self.open("other")
        await self.value(run_id)
        other.stop()

    async def of(self, run_id: str, kind: type[Any]) -> list[Any]:
        subject = subjects.task(run_id) if kind is TaskQueued else subjects.run(run_id)
        return [event for _, event in await self.bus.read(subject) if isinstance(event, kind)]

    async def value(self, run_id: str) -> Any:
        history = await self.eyes.until_final(run_id)
        assert history.run.state == "COMPLETED", (history.run.error, history.run.reason)
        return msgspec.json.decode(history.run.result.value)


@pytest.fixture
async def far(
    bus: Bus, start_service, connection: Connection, settings: Settings, tmp_path: Path
) -> AsyncIterator[Far]:
    await start_service(RegistryService)
    made = Far(bus, connection, settings, tmp_path, start_service)
    yield made
    made.stop()


@pytest.fixture
async def place(far: Far) -> Far:
    """With an engine, and a worker for runs that keeps their code."""
    await far.services(EngineService)
    await far.worker("here")
    await far.gpu()
    return far


@pytest.mark.parametrize("flow", ["one", "one-async"])
async def test_the_only_slot_is_free_meanwhile_and_the_code_stays(place: Far, flow: str) -> None:
    run_id = await place.eyes.trigger(flow, path=place.path)
    history = await place.waiting(run_id)
    key = {"one": "far-0", "one-async": "far_async-0"}[flow]
    assert (history.run.waits_for, history.run.wait_key) == ("task", key)
    assert await place.value(await place.eyes.trigger("quick", path=place.path)) == "quick"
    place.open("a")
    assert (await place.value(run_id)).endswith("aafter")
    traced = place.traced
    assert (traced["begin"], traced["far-a"], traced["between"], traced["finally"]) == (1, 1, 1, 1)
    assert [event.key for event in await place.of(run_id, RunResumed)] == [key]


async def test_a_short_task_costs_no_suspension(place: Far) -> None:
    place.open("a")
    run_id = await place.eyes.trigger("one", path=place.path)
    await place.value(run_id)
    assert not await place.of(run_id, RunSuspended)
    assert len(await place.of(run_id, RunStarted)) == 1


async def test_code_that_was_not_kept_finds_the_result(far: Far) -> None:
    await far.services(EngineService)
    await far.worker("here", suspend_after=0)
    await far.gpu()
    run_id = await far.eyes.trigger("one", path=far.path)
    await far.waiting(run_id)
    await far.began("finally")
    far.open("a")
    assert await far.value(run_id) == "beforeaafter"
    assert far.traced["far-a"] == far.traced["near-before"] == 1
    assert far.traced["begin"] == 2
    assert len(await far.of(run_id, TaskQueued)) == 1


async def test_the_first_of_several_resumes_it(place: Far) -> None:
    run_id = await place.eyes.trigger("mapped", path=place.path, names=["a", "b", "c"])
    await place.waiting(run_id, count=3)
    place.open("b")
    await place.waiting(run_id, count=2, epoch=2)
    place.open("a")
    await place.waiting(run_id, count=1, epoch=3)
    place.open("c")
    assert await place.value(run_id) == ["a", "b", "c"]
    assert place.traced["begin"] == 1
    assert all(not event.beside for event in await place.of(run_id, RunSuspended))


async def test_beside_a_sleep(place: Far) -> None:
    run_id = await place.eyes.trigger("gathered", path=place.path, seconds=3)
    await place.waiting(run_id, count=2)
    [event] = await place.of(run_id, RunSuspended)
    assert {event.waits_for, *(wait.waits_for for wait in event.beside)} == {"sleep", "task"}
    assert len(event.beside) == 1
    await place.waiting(run_id, count=2, epoch=2)
    place.open("a", "b")
    assert await place.value(run_id) == ["a", None, "b"]
    assert place.traced["begin"] == 1


async def test_code_that_works_on_keeps_its_slot(place: Far) -> None:
    """And is not begun again because its task takes longer than its patience."""
    run_id = await place.eyes.trigger("busy", path=place.path)
    await place.began("far-a")
    await place.patience_is_over()
    assert not await place.of(run_id, RunSuspended)
    place.open("work")
    await place.waiting(run_id)
    place.open("a")
    assert await place.value(run_id) == "a"
    assert (place.traced["working"], place.traced["worked"]) == (1, 1)
    assert len(await place.of(run_id, RunSuspended)) == 1


async def test_whoever_waits_for_a_time_is_not_put_off(place: Far) -> None:
    run_id = await place.eyes.trigger("impatient", path=place.path)
    assert await place.value(run_id) == "instead"
    assert place.traced["timed-out"] == 1
    history = await read_history(place.bus, run_id)
    went_on_at = next(life.start_time for life in history.tasks.values() if life.name == "near")
    # What it submitted may still be going on when its code has ended: that may be waited for without a slot.
    assert all(event.at > went_on_at for event in await place.of(run_id, RunSuspended))


@pytest.mark.parametrize("flow", ["limited", "timed", "within"])
async def test_what_would_begin_anew_keeps_its_slot(place: Far, flow: str) -> None:
    """A slot of a limit would be given up, a time limit begin again, and so would a task around it."""
    await place.bus.ask(subjects.command("engine", "set_limit"), SetLimit(name="only", slots=1, by="test"))
    run_id = await place.eyes.trigger(flow, path=place.path)
    await place.began("far-a")
    await place.patience_is_over()
    place.open("a")
    assert await place.value(run_id) == "a"
    assert not await place.of(run_id, RunSuspended)


async def test_a_child_flow_that_waits_for_one(place: Far) -> None:
    run_id = await place.eyes.trigger("outer", path=place.path)
    await place.eyes.until(run_id, lambda h: h.run is not None and h.run.state == "PAUSED")
    assert await place.value(await place.eyes.trigger("quick", path=place.path)) == "quick"
    place.open("a")
    assert await place.value(run_id) == "aafter"
    assert (place.traced["outer"], place.traced["far-a"]) == (1, 1)


async def test_a_task_that_is_retried_where_it_runs(place: Far) -> None:
    run_id = await place.eyes.trigger("retried", path=place.path)
    await place.waiting(run_id)
    assert await place.value(run_id) == "tried"
    assert (place.traced["begin"], place.traced["try"]) == (1, 2)
    assert len(await place.of(run_id, TaskQueued)) == 1


async def test_one_place_serves_the_runs_and_their_tasks(far: Far) -> None:
    await far.services(EngineService)
    await far.worker("both")
    runs = [await far.eyes.trigger("one-place", path=far.path, name=name) for name in "ab"]
    for run_id in runs:
        await far.waiting(run_id)
    assert far.traced.total() == 1  # the only place for tasks is taken by one of them
    far.open("a", "b")
    assert [await far.value(run_id) for run_id in runs] == ["a", "b"]


async def test_cancelled_while_it_waits(place: Far) -> None:
    run_id = await place.eyes.trigger("one-async", path=place.path)
    await place.waiting(run_id)
    await place.eyes.cancel(run_id)
    assert (await place.eyes.until_final(run_id)).run.state == "CANCELLED"
    await place.began("left-a")
    await place.began("finally")


@pytest.mark.parametrize("done_first", [False, True], ids=["ends later", "ended meanwhile"])
async def test_another_engine_goes_on_waiting(far: Far, done_first: bool) -> None:
    engine = await far.services(EngineService)
    await far.worker("here")
    await far.gpu()
    run_id = await far.eyes.trigger("one", path=far.path)
    await far.waiting(run_id)
    await engine.stop()
    if done_first:
        far.open("a")
        await far.eyes.until(run_id, lambda history: history.tasks["far-0"].state == "COMPLETED")
    await far.services(EngineService)
    far.open("a")
    assert await far.value(run_id) == "beforeaafter"
    assert far.traced["far-a"] == 1
