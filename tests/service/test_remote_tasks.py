"""Tasks with a queue, on real workers: they run elsewhere, once, and what they say comes back by event."""

import asyncio
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from worker_process import Eyes, WorkerProcess, Workers

from perfect_bus import Bus
from perfect_schemas import subjects
from perfect_schemas.commands import RetryRun
from perfect_schemas.events import LogBatch
from perfect_schemas.folds.history import History

FLOWS = Path(__file__).parent.parent / "flows" / "remote.py"


class Pair:
    """here: runs the flows. gpu: runs the tasks of the queue."""

    def __init__(self, here: WorkerProcess, gpu: WorkerProcess) -> None:
        self.here = here
        self.gpu = gpu


@pytest.fixture
async def pair(eyes: Eyes, workers: Workers) -> Pair:
    made = Pair(
        workers.start(FLOWS, name="here", processes=1),
        workers.start(FLOWS, name="gpu", processes=1, queue="gpu"),
    )
    await eyes.connected("here")
    await eyes.connected("gpu")
    return made


def bodies(path: str) -> Counter[str]:
    """How often each body has begun."""
    return Counter(line.split()[1] for line in Path(path).read_text().splitlines())


def processes(path: str, start: str) -> set[int]:
    lines = [line.split() for line in Path(path).read_text().splitlines()]
    return {int(pid) for pid, name in lines if name.startswith(start)}


def result(history: History) -> object:
    assert history.run.state == "COMPLETED", history.run.error
    return msgspec.json.decode(history.run.result.value)


async def test_a_task_with_a_queue_runs_on_another_worker(
    eyes: Eyes, pair: Pair, path: str, bus: Bus
) -> None:
    run_id = await eyes.trigger("mixed", path=path, count=3)
    run = await eyes.until_final(run_id)
    assert result(run) == 5
    assert processes(path, "here") == set(pair.here.executors())
    assert processes(path, "there") == set(pair.gpu.executors())
    assert set(bodies(path).values()) == {1}
    assert {task.state for task in run.tasks.values()} == {"COMPLETED"}
    lines = [
        (line.message, line.task_key)
        for _, batch in await bus.read(subjects.log(run_id), stream="LOGS")
        if isinstance(batch, LogBatch)
        for line in batch.lines
    ]
    assert lines == [(f"computed {n}", f"there-{n}") for n in range(3)]


async def test_async_flows_gather_and_submit_them(eyes: Eyes, pair: Pair, path: str) -> None:
    run = await eyes.until_final(await eyes.trigger("mixed-async", path=path, count=5))
    assert result(run) == 130
    assert processes(path, "async") | processes(path, "there") == set(pair.gpu.executors())


async def test_hundreds_are_mapped(eyes: Eyes, pair: Pair, path: str) -> None:
    run = await eyes.until_final(await eyes.trigger("mapped", path=path, count=300))
    assert result(run) == sum(n * n for n in range(300))
    assert set(bodies(path).values()) == {1}
    assert len(bodies(path)) == 300


async def test_arguments_and_results_keep_their_types(eyes: Eyes, pair: Pair) -> None:
    run = await eyes.until_final(await eyes.trigger("travelling"))
    assert result(run) == ["Point", 3, ["1j"], 600_000]
    assert run.tasks["large-0"].result.ref is not None


async def test_what_cannot_travel_is_said(eyes: Eyes, pair: Pair) -> None:
    arguments, returned = result(await eyes.until_final(await eyes.trigger("unsendable")))
    assert arguments.startswith(
        "UnsendableArguments: task 'opaque' runs on another worker, and argument 1 cannot"
    )
    assert returned.startswith("UnsendableResult: the result of task 'returns_opaque' cannot be sent back")


@pytest.mark.parametrize(("times", "said"), [(2, "done 2"), (9, "caught 'not yet'")])
async def test_it_is_retried_where_it_runs(eyes: Eyes, pair: Pair, path: str, times: int, said: str) -> None:
    run = await eyes.until_final(await eyes.trigger("failing", path=path, times=times))
    assert result(run) == said
    assert bodies(path) == {"fails": 3}
    assert run.tasks["fails-0"].attempt == 3


async def test_tasks_within_it_and_child_flows_around_it(eyes: Eyes, pair: Pair, path: str) -> None:
    run = await eyes.until_final(await eyes.trigger("nested", path=path))
    assert result(run) == [12, 16]
    assert processes(path, "") == set(pair.gpu.executors())
    assert {key for key in run.tasks if run.tasks[key].state == "COMPLETED"} == {
        *("outer-0", "outer-0/here-0", "outer-0/here-1", "outer-0/here-2", "outer-0/there-0", "child-0"),
    }


async def test_what_it_calls_has_the_tags_around_its_own_call(eyes: Eyes, pair: Pair, bus: Bus) -> None:
    run = await eyes.until_final(await eyes.trigger("tagged"))
    assert sorted(result(run)) == ["b", "given", "own"]  # type: ignore[call-overload]
    assert {key: sorted(life.tags) for key, life in run.tasks.items()} == {
        "outer_tagged-0": ["a", "own"],
        "outer_tagged-0/inner-0": ["a"],
        "outer_tagged-0/inner-flow-0": ["a", "flow"],
        "outer_tagged-1": ["b", "own"],
        "outer_tagged-1/inner-0": ["b", "own"],
        "outer_tagged-1/inner-flow-0": ["b", "flow", "own"],
        "outer_tagged_async-0": ["b", "own"],
        "outer_tagged_async-0/inner-0": ["b", "own", "within"],
        "inner-flow-0": ["b", "given", "own"],
    }


@pytest.mark.parametrize("is_async", [False, True])
async def test_it_stops_with_its_run(eyes: Eyes, pair: Pair, path: str, is_async: bool) -> None:
    run_id = await eyes.trigger("without-end", path=path, is_async=is_async)
    await eyes.until(run_id, lambda h: any(task.state == "RUNNING" for task in h.tasks.values()))
    await until_trace(path, "endless")
    await eyes.cancel(run_id)
    assert (await eyes.until_final(run_id)).run.state == "CANCELLED"
    if is_async:
        await until_trace(path, "cleaned-up")
    again = path + "-again"
    run = await eyes.until_final(await eyes.trigger("mixed", path=again, count=1))
    assert result(run) == 0
    assert processes(again, "there") == set(pair.gpu.executors())


async def until_trace(path: str, name: str) -> None:
    async with asyncio.timeout(60):
        while not Path(path).exists() or name not in bodies(path):
            await asyncio.sleep(0.02)


async def test_one_place_serves_the_run_and_its_tasks(eyes: Eyes, workers: Workers) -> None:
    workers.start(FLOWS, processes=1, concurrency=1)
    await eyes.connected()
    assert result(await eyes.until_final(await eyes.trigger("one-place", n=5))) == 7


async def test_nobody_serves_the_queue(eyes: Eyes, workers: Workers, path: str, bus: Bus) -> None:
    workers.start(FLOWS, name="here", processes=1)
    await eyes.connected("here")
    run_id = await eyes.trigger("mixed", path=path, count=1)
    await eyes.until(run_id, lambda h: "there-0" in h.tasks)
    async with asyncio.timeout(60):
        while True:
            said = [
                line.message
                for _, batch in await bus.read(subjects.log(run_id), stream="LOGS")
                if isinstance(batch, LogBatch)
                for line in batch.lines
            ]
            if said:
                break
            await asyncio.sleep(0.05)
    assert "no worker serves flow 'mixed' on queue 'gpu'" in said[0]
    workers.start(FLOWS, name="gpu", processes=1, queue="gpu")
    assert result(await eyes.until_final(run_id)) == 0


async def test_a_flow_that_is_tried_again_keeps_what_they_did(eyes: Eyes, pair: Pair, path: str) -> None:
    assert result(await eyes.until_final(await eyes.trigger("tried-again", path=path))) == 4
    assert bodies(path) == {"there-2": 1, "flow": 2}


async def test_a_script_sends_its_tasks_to_workers(eyes: Eyes, workers: Workers, path: str) -> None:
    gpu = workers.start(FLOWS, name="gpu", processes=1, queue="gpu")
    await eyes.connected("gpu")
    script = await asyncio.create_subprocess_exec(
        sys.executable, FLOWS, path, env=workers.environment, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await script.communicate()
    assert said.split() == [b"1"]
    assert processes(path, "here") == {script.pid}
    assert processes(path, "there") == set(gpu.executors())


async def test_a_person_tries_it_again(eyes: Eyes, pair: Pair, path: str, bus: Bus) -> None:
    """What completed within the failed task is kept; what failed runs again."""
    run_id = await eyes.trigger("fails-inside", path=path)
    assert (await eyes.until_final(run_id)).run.state == "FAILED"
    Path(path + "-mended").touch()
    await bus.ask(subjects.command("engine", "retry"), RetryRun(run_id=run_id, by="ann"))
    run = await eyes.until(run_id, lambda h: h.run is not None and h.run.epoch == 2 and h.run.state.is_final)
    assert result(run) == 3
    assert bodies(path) == {"around": 2, "here-1": 1, "fragile": 2}
