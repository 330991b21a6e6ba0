"""Runs that wait, on real workers with the real engine: they hold no slot, and go on where they were."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from worker_process import Eyes, Workers

from perfect_bus import Bus
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import ResumeRun, SetLimit
from perfect_schemas.errors import Conflicting, InvalidInput
from perfect_schemas.events import RunScheduled
from perfect_schemas.folds.history import History

FLOWS = Path(__file__).parent.parent / "flows" / "waiting.py"


@pytest.fixture
async def eyes(bus: Bus, start_service, workers: Workers) -> AsyncIterator[Eyes]:
    """One worker with one slot."""
    await start_service(RegistryService)
    await start_service(EngineService)
    made = Eyes(bus, workers)
    workers.start(FLOWS, processes=1, concurrency=1)
    await made.connected()
    return made


def traced(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


async def resume(bus: Bus, run_id: str, value: Any = None) -> None:
    command = ResumeRun(run_id=run_id, by="test", input=value, event_id=ids.uuid7())
    await bus.ask(subjects.command("engine", "resume"), command)


def waits_for(what: str, key: str | None = None) -> Any:
    def holds(history: History) -> bool:
        run = history.run
        return (
            run is not None
            and run.state == "PAUSED"
            and run.waits_for == what
            and key in (None, run.wait_key)
        )

    return holds


def value(history: History) -> bytes:
    assert history.run.state == "COMPLETED", (history.run.error, history.run.reason)
    return bytes(history.run.result.value)


async def test_a_pause_gives_the_slot_up_and_gets_typed_input(eyes: Eyes, bus: Bus, path: str) -> None:
    run_id = await eyes.trigger("approved", path=path)
    paused = await eyes.until(run_id, waits_for("input", "pause-0"))
    assert set(paused.run.input_schema["properties"]) == {"approved", "comment"}
    assert (
        value(await eyes.until_final(await eyes.trigger("leaf", path=path, n=1))) == b"2"
    )  # the slot is free
    with pytest.raises(InvalidInput, match="approved"):
        await resume(bus, run_id, {"comment": "?"})
    await resume(bus, run_id, {"approved": True, "comment": "fine"})
    await eyes.until(run_id, waits_for("input", "pause-1"))
    await resume(bus, run_id, 7)
    done = await eyes.until_final(run_id)
    assert value(done) == b'"True fine 7"'
    assert done.run.epoch == 3
    assert traced(path) == ["before", "leaf 1", "between", "after"]
    with pytest.raises(Conflicting):
        await resume(bus, run_id, 8)


async def test_an_async_flow_pauses_with_await(eyes: Eyes, bus: Bus, path: str) -> None:
    run_id = await eyes.trigger("approved-async", path=path)
    await eyes.until(run_id, waits_for("input"))
    await resume(bus, run_id, {"approved": False})
    assert value(await eyes.until_final(run_id)) == b'"False "'
    assert traced(path) == ["before", "after"]


async def test_a_pause_that_nobody_ends_times_out(eyes: Eyes, path: str) -> None:
    assert value(await eyes.until_final(await eyes.trigger("impatient", path=path))) == b'"nobody came"'
    assert traced(path) == ["before", "gave up"]


async def test_a_sleep_is_durable_and_holds_no_slot(eyes: Eyes, path: str) -> None:
    run_id = await eyes.trigger("sleepy", path=path, seconds=3)
    first = await eyes.until(run_id, waits_for("sleep", "sleep-0"))
    assert value(await eyes.until_final(await eyes.trigger("leaf", path=path, n=1))) == b"2"
    done = await eyes.until_final(run_id)
    assert value(done) == b"2"
    assert traced(path) == ["before 0", "leaf 1", "before 1", "end"]
    assert done.waits["sleep-0"].wake_at == first.waits["sleep-0"].wake_at
    late = (done.tasks["mark-1"].start_time - first.run.wake_at).total_seconds()
    assert late >= 0


async def test_branches_sleep_side_by_side(eyes: Eyes, path: str) -> None:
    done = await eyes.until_final(await eyes.trigger("side-by-side", path=path))
    assert value(done) == b'["b0","b1","b2"]'
    assert sorted(traced(path)) == ["a0", "a1", "a2", "b0", "b1", "b2"]
    ends = [wait.wake_at for wait in done.waits.values()]
    assert len(ends) == 3
    assert (max(ends) - min(ends)).total_seconds() < 0.9  # one after another they would be further apart


async def test_three_nested_levels_complete_in_one_slot(eyes: Eyes, path: str) -> None:
    done = await eyes.until_final(await eyes.trigger("top", path=path))
    assert value(done) == b"50"
    assert traced(path) == ["top", "middle", "leaf 4", "top again"]
    assert done.tasks["middle-0"].state == "COMPLETED"


async def test_children_side_by_side(eyes: Eyes, path: str) -> None:
    done = await eyes.until_final(await eyes.trigger("fan-out", path=path))
    assert value(done) == b"[1,2,3]"
    assert sorted(traced(path)) == ["leaf 0", "leaf 1", "leaf 2"]


async def test_the_failure_of_a_child_is_its_state(eyes: Eyes) -> None:
    done = await eyes.until_final(await eyes.trigger("told-of-failure"))
    assert value(done) == b'"FAILED no luck"'


async def test_a_deployment_is_waited_for_as_long_as_asked(eyes: Eyes, path: str) -> None:
    done = await eyes.until_final(await eyes.trigger("patient-for", path=path, seconds=0.5))
    assert value(done) == b'"Paused"'


async def test_a_child_within_the_process_that_waits_suspends_its_parent(
    eyes: Eyes, bus: Bus, path: str
) -> None:
    run_id = await eyes.trigger("around-wait", path=path)
    child_id = ids.child_run_id(run_id, "inner-wait-0")
    await eyes.until(child_id, waits_for("input"))
    await eyes.until(run_id, waits_for("child", child_id))
    assert value(await eyes.until_final(await eyes.trigger("leaf", path=path, n=1))) == b"2"
    await resume(bus, child_id, 41)
    assert value(await eyes.until_final(run_id)) == b"42"
    assert traced(path) == ["outer before", "inner before", "leaf 1", "inner after", "outer after"]


async def test_a_waiting_run_is_cancelled_with_its_children(eyes: Eyes, path: str) -> None:
    run_id = await eyes.trigger("patient-for", path=path, seconds=60)
    parent = await eyes.until(run_id, waits_for("child"))
    await eyes.until(parent.run.wait_key, waits_for("sleep"))
    await eyes.cancel(run_id)
    assert (await eyes.until_final(run_id, 5)).run.state == "CANCELLED"
    assert (await eyes.until_final(parent.run.wait_key, 5)).run.state == "CANCELLED"


async def test_a_limit_holds_across_runs(eyes: Eyes, bus: Bus, workers: Workers, path: str) -> None:
    workers.start(FLOWS, name="w2", processes=2, concurrency=2)
    await eyes.connected("w2")
    await bus.ask(subjects.command("engine", "set_limit"), SetLimit(name="database", slots=1, by="test"))
    runs = [await eyes.trigger("limited", path=path) for _ in range(2)]
    runs.append(await eyes.trigger("limited-async", path=path))
    for run_id in runs:
        assert (await eyes.until_final(run_id)).run.state == "COMPLETED"
    assert traced(path) == ["in", "out"] * 9


async def test_slots_are_given_back_on_exceptions(eyes: Eyes, bus: Bus, path: str) -> None:
    await bus.ask(subjects.command("engine", "set_limit"), SetLimit(name="database", slots=1, by="test"))
    assert (
        await eyes.until_final(await eyes.trigger("limited-async", path=path, fails=True))
    ).run.state == "FAILED"
    done = await eyes.until_final(await eyes.trigger("limited", path=path, times=1), 5)
    assert done.run.state == "COMPLETED"


async def test_waits_survive_a_new_worker(eyes: Eyes, bus: Bus, workers: Workers, path: str) -> None:
    run_id = await eyes.trigger("approved", path=path)
    await eyes.until(run_id, waits_for("input", "pause-0"))
    workers.stop()
    await resume(bus, run_id, {"approved": True})
    workers.start(FLOWS, name="w2", processes=1)
    await eyes.until(run_id, waits_for("input", "pause-1"))
    await resume(bus, run_id, 1)
    assert value(await eyes.until_final(run_id)) == b'"True  1"'
    assert traced(path) == ["before", "between", "after"]


SCRIPT = """
import asyncio, sys
from perfect_sdk import flow, pause_flow_run, resume_flow_run, run_deployment, sleep

@flow
def scripted() -> int:
    sleep(0.2)
    given = pause_flow_run(wait_for_input=int)
    child = run_deployment("leaf", {"path": sys.argv[2], "n": given})
    return child.state.result()

@flow
async def scripted_async() -> int:
    await sleep(0.2)
    given = await pause_flow_run(wait_for_input=int)
    child = await run_deployment("leaf", {"path": sys.argv[2], "n": given})
    return child.state.result()

if __name__ == "__main__":
    match sys.argv[1]:
        case "sync":
            print("got", scripted())
        case "async":
            print("got", asyncio.run(scripted_async()))
        case "outside":
            run = run_deployment("leaf", {"path": sys.argv[2], "n": 4}, tags=["x"])
            print("got", run.state.result(), run.tags)
            run = run_deployment("approved", {"path": sys.argv[2]}, timeout=1)
            print(run.state.name)
            resume_flow_run(run.id, {"approved": True})
            print("resumed", run.id)
"""


@pytest.fixture
def script(tmp_path: Path, workers: Workers) -> Any:
    file = tmp_path / "scripted.py"
    file.write_text(SCRIPT)

    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(file), *arguments],
            env=workers.environment,
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return start


async def run_called(bus: Bus, name: str) -> str:
    """The id of the run of the flow, once it has been scheduled."""
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def heard(msg: Any, _: int) -> None:
        event = codec.decode(msg.data)
        if isinstance(event, RunScheduled) and event.flow_name == name and not found.done():
            found.set_result(event.run_id or "")

    following = await bus.follow("EVENTS", heard, after=0, subject=subjects.ALL_RUNS)
    try:
        return await asyncio.wait_for(found, 60)
    finally:
        await following.unsubscribe()


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_plain_call_waits_in_its_own_process(
    eyes: Eyes, bus: Bus, path: str, script: Any, kind: str
) -> None:
    process = script(kind, path)
    run_id = await run_called(bus, "scripted" if kind == "sync" else "scripted-async")
    await eyes.until(run_id, waits_for("input"))
    await resume(bus, run_id, 5)
    out, err = await asyncio.to_thread(process.communicate, None, 20)
    assert out == "got 6\n", err
    done = await eyes.until_final(run_id)
    assert (done.run.state, done.run.epoch) == ("COMPLETED", 2)


async def test_a_plain_call_that_is_cancelled_while_it_waits(
    eyes: Eyes, bus: Bus, path: str, script: Any
) -> None:
    process = script("sync", path)
    run_id = await run_called(bus, "scripted")
    await eyes.until(run_id, waits_for("input"))
    await eyes.cancel(run_id)
    _, err = await asyncio.to_thread(process.communicate, None, 20)
    assert "CancelledRun" in err
    assert (await eyes.until_final(run_id)).run.state == "CANCELLED"


async def test_deployments_and_resumptions_from_outside_of_a_run(eyes: Eyes, path: str, script: Any) -> None:
    process = script("outside", path)
    out, err = await asyncio.to_thread(process.communicate, None, 20)
    assert out.splitlines()[:2] == ["got 5 ['x']", "Paused"], err
    run_id = out.split()[-1]
    await eyes.until(run_id, waits_for("input", "pause-1"))
