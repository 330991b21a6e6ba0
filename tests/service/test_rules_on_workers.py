"""Retries, timeouts, cancellation and changed code, on real workers with the real engine."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from worker_process import Eyes, Workers

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_schemas import ids, subjects
from perfect_schemas.commands import ForkRun, ResumeRun
from perfect_schemas.events import TaskRetrying
from perfect_schemas.folds.history import History

FLOWS = Path(__file__).parent.parent / "flows" / "behaved.py"


@pytest.fixture
async def services(bus: Bus, start_service, workers: Workers) -> AsyncIterator[Eyes]:
    await start_service(RegistryService)
    await start_service(EngineService)
    return Eyes(bus, workers)


@pytest.fixture
async def eyes(services: Eyes, workers: Workers) -> Eyes:
    workers.start(FLOWS, processes=1, concurrency=4)
    await services.connected()
    return services


def traced(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def value(history: History) -> bytes:
    assert history.run.state == "COMPLETED", (history.run.error, history.run.reason)
    return bytes(history.run.result.value)


async def test_tasks_are_retried_with_growing_jittered_delays_while_it_is_worth_it(
    eyes: Eyes, bus: Bus, path: str
) -> None:
    run_id = await eyes.trigger("retried-tasks", path=path)
    assert value(await eyes.until_final(run_id)) == b'"not worth it"'
    assert traced(path) == ["flaky"] * 3 + ["choosy 0"]
    waits = [
        (event.next_at - event.at).total_seconds()
        for _, event in await bus.read(subjects.task(run_id))
        if isinstance(event, TaskRetrying)
    ]
    assert len(waits) == 2
    assert 0.04 <= waits[0] <= 0.09
    assert 0.09 <= waits[1] <= 0.17


async def test_a_flow_is_retried_without_repeating_its_tasks(eyes: Eyes, path: str) -> None:
    done = await eyes.until_final(await eyes.trigger("retried-flow", path=path))
    assert value(done) == b"3"
    assert (done.run.epoch, done.run.tries) == (3, 2)
    assert traced(path) == ["kept", "tried", "tried", "tried"]


async def test_timeouts(eyes: Eyes, path: str) -> None:
    done = await eyes.until_final(await eyes.trigger("task-times-out", path=path))
    assert value(done) == b'"TaskTimeoutError"'
    assert traced(path) == ["slow"] * 2
    for name, parameters in (("flow-times-out", {}), ("sync-flow-times-out", {"path": path})):
        done = await eyes.until_final(await eyes.trigger(name, **parameters))
        assert done.run.state == "FAILED"
        assert "took longer than its 0.2 s" in done.run.error.message
        assert done.run.duration_ms < 30_000  # of a minute


async def until_traced(path: str, line: str, count: int) -> None:
    async with asyncio.timeout(60):
        while traced(path).count(line) < count:
            await asyncio.sleep(0.01)  # another process writes it


async def test_a_cancellation_reaches_what_waits_within_the_grace(
    eyes: Eyes, path: str, settings: Settings
) -> None:
    taken: list[float] = []
    for round_ in range(3):
        run_id = await eyes.trigger("patient", path=path, name=f"r{round_}")
        await until_traced(path, f"r{round_} waits", 2)
        asked = time.time()
        await eyes.cancel(run_id)
        assert (await eyes.until_final(run_id)).run.state == "CANCELLED"
        taken += [float(line.split()[-1]) - asked for line in traced(path) if f"r{round_} stopped" in line]
    assert len(taken) == 6
    print("cancel → CancelledError in the task, ms:", sorted(round(each * 1000, 1) for each in taken))
    assert sorted(taken)[len(taken) // 2] < settings.cancel_grace_s


@pytest.mark.parametrize("name", ["nested-patient", "deployed-patient"])
async def test_child_runs_are_cancelled_with_it(eyes: Eyes, path: str, name: str) -> None:
    run_id = await eyes.trigger(name, path=path)
    names = ["one", "two"] if name == "nested-patient" else ["deployed"]
    for each in names:
        await until_traced(path, f"{each} waits", 2)
    keys = list((await eyes.until(run_id, lambda h: len(h.tasks) >= len(names))).tasks)
    await eyes.cancel(run_id)
    assert (await eyes.until_final(run_id)).run.state == "CANCELLED"
    for key in keys:
        child = await eyes.until_final(ids.child_run_id(run_id, key))
        assert child.run.state == "CANCELLED"
    assert sum(" stopped " in line for line in traced(path)) == 2 * len(names)


@pytest.mark.parametrize("name", ["busy", "submitting", "swallows"])
async def test_whatever_the_code_does_it_ends_cancelled(eyes: Eyes, path: str, name: str) -> None:
    run_id = await eyes.trigger(name, path=path)
    await eyes.until_state(run_id, "RUNNING")
    if name != "swallows":
        await eyes.until(run_id, lambda h: len(h.tasks) > 0)
    await eyes.cancel(run_id)
    done = await eyes.until_final(run_id)
    assert done.run.state == "CANCELLED"
    assert all(task.state != "RUNNING" for task in done.tasks.values())


BEFORE = """
from perfect_sdk import flow, task, pause_flow_run

@task
def first() -> str:
    return "first"

@task
def second() -> str:
    return "second"

@task
def third(text: str) -> str:
    return text + " third"

@flow
def changing() -> str:
    first()
    text = second()
    pause_flow_run()
    return third(text)
"""
AFTER = BEFORE.replace("    first()\n    text = second()\n", "    text = third(first())\n")


async def test_code_that_changed_under_a_run_fails_it_and_the_run_can_be_forked(
    services: Eyes, workers: Workers, bus: Bus, tmp_path: Path
) -> None:
    file = tmp_path / "changing.py"
    file.write_text(BEFORE)
    workers.start(file)
    await services.connected()
    run_id = await services.trigger("changing")
    await services.until_state(run_id, "PAUSED")
    workers.stop()
    file.write_text(AFTER)
    workers.start(file, name="w2")
    await services.connected("w2")
    await bus.ask(subjects.command("engine", "resume"), ResumeRun(run_id=run_id, by="test"))
    failed = await services.until_final(run_id)
    assert failed.run.state == "FAILED"
    assert failed.run.error.kind == "perfect_sdk.exceptions:NonDeterministicFlowError"
    assert "'second-0'" in failed.run.error.message
    assert "'third-0'" in failed.run.error.message
    fork_id = ids.uuid7()
    fork = ForkRun(run_id=fork_id, origin_run_id=run_id, by="test", from_key="second-0")
    await bus.ask(subjects.command("engine", "fork"), fork)
    paused = await services.until_state(fork_id, "PAUSED")
    assert paused.tasks["first-0"].origin_run_id == run_id
    await bus.ask(subjects.command("engine", "resume"), ResumeRun(run_id=fork_id, by="test"))
    assert value(await services.until_final(fork_id)) == b'"first third third"'
