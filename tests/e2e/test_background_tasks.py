"""`task.delay(…)` in a real system: scripts, flows, workers that are killed, dependencies, and what the API shows."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from running import FLOWS, Running, running

from perfect_bus.settings import Settings
from perfect_schemas import ids
from perfect_schemas.errors import NotFound
from perfect_schemas.folds.history import History
from perfect_schemas.states import TaskState
from perfect_sdk.connecting.io import IO
from perfect_sdk.connecting.system import System as Connected
from perfect_sdk.exceptions import (
    ParameterBindError,
    ParameterTypeError,
    UnsendableArguments,
    UpstreamTaskError,
)
from perfect_sdk.serving.loading import load_module

FILE = FLOWS / "delayed.py"
tasks: Any = load_module(str(FILE))


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings) as run:
        yield run


@pytest.fixture
def connected(system: Running, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process as a script of a user's."""
    io = IO(system.system.connection, name="test script")
    io.start()
    monkeypatch.setattr(Connected, "_of_process", Connected(io))
    yield
    io.close()


async def result(future: Any, timeout_s: float = 30) -> Any:
    return await asyncio.to_thread(future.result, timeout_s)


def said(folder: Path) -> list[str]:
    return (folder / "said").read_text().splitlines()


def started(history: History) -> bool:
    return any(life.state is TaskState.RUNNING for life in history.tasks.values())


@pytest.mark.usefixtures("connected")
async def test_a_worker_serves_a_task_from_the_first_delay_on(system: Running) -> None:
    worker = await system.worker(FILE)
    assert "task/" not in worker.log.read_text()
    future = tasks.greet.delay("you", times=2)
    assert await result(future) == "hello youhello you"
    assert (future.state.name, future.done()) == ("Completed", True)
    assert "serves task/greet, too" in worker.log.read_text()
    history = await system.until_final(future.flow_run_id)
    [life] = history.tasks.values()
    assert (life.id, life.name, life.run_name) == (future.task_run_id, "greet", "greet you")
    assert history.run is not None
    assert (history.run.flow_name, history.run.name) == ("task/greet", "greet you")
    assert (history.run.parameters, history.run.tags) == ({"name": "you", "times": 2}, ["mail"])


@pytest.mark.usefixtures("connected")
async def test_a_task_is_delayed_before_anybody_serves_it(system: Running) -> None:
    future = tasks.due.delay(tasks.Order(number=1, due=date(2026, 5, 1)))
    assert not future.state.is_final()
    with pytest.raises(TimeoutError):
        future.result(timeout=0)
    await system.worker(FILE)
    assert await result(future) == date(2026, 5, 1)


@pytest.mark.usefixtures("connected")
async def test_failures_and_results_that_cannot_be_kept(system: Running, tmp_path: Path) -> None:
    await system.worker(FILE)
    broken, flaky, unkept = tasks.broken.delay(7), tasks.flaky.delay(str(tmp_path)), tasks.unkept.delay()
    with pytest.raises(KeyError, match="7"):
        await result(broken)
    assert isinstance(broken.result(raise_on_failure=False), KeyError)
    assert broken.state.is_failed()
    assert await result(flaky) == 3
    large = tasks.large.delay(400_000)
    assert await result(large) == "x" * 400_000
    from perfect_sdk.exceptions import MissingResult

    with pytest.raises(MissingResult, match="could not be kept"):
        await result(unkept)


@pytest.mark.usefixtures("connected")
async def test_arguments_are_checked_where_they_are_given(system: Running) -> None:
    with pytest.raises(ParameterBindError, match="task 'greet'"):
        tasks.greet.delay()
    with pytest.raises(ParameterTypeError, match="times"):
        tasks.greet.delay("x", times="many")
    with pytest.raises(UnsendableArguments, match="argument 'name' cannot be sent there as JSON"):
        tasks.greet.delay(object())
    await system.worker(FILE)
    assert await result(tasks.joined.delay("a", "b", c="d")) == "a,b,c=d"
    assert await result(tasks.joined.apply_async(("a",), {"b": "c"})) == "a,b=c"


@pytest.mark.usefixtures("connected")
async def test_a_run_waits_for_what_it_is_made_from(system: Running, tmp_path: Path) -> None:
    """With one place for everything: whoever waits holds none."""
    held = tasks.patient.delay(str(tmp_path))
    later = tasks.greet.apply_async(("you",), wait_for=[held])
    sums = [tasks.total.delay([1, 2]), tasks.total.delay([3])]
    of_sums = tasks.total.delay([*sums, 10])
    after_failure = tasks.greet.apply_async(("you",), wait_for=[tasks.broken.delay(1)])
    await system.worker(FILE, concurrency=1)
    (tmp_path / "go").touch()
    assert await result(of_sums) == 16
    assert await result(later) == "hello you"
    assert later.state.is_completed()
    with pytest.raises(UpstreamTaskError, match="'task/broken', ended as FAILED"):
        await result(after_failure)


@pytest.mark.usefixtures("connected")
async def test_a_killed_worker_s_task_goes_on_at_another(system: Running, tmp_path: Path) -> None:
    first = await system.worker(FILE, name="w1")
    future = tasks.patient.delay(str(tmp_path))
    await system.until(future.flow_run_id, started)
    await system.worker(FILE, name="w2")
    first.kill()
    (tmp_path / "go").touch()
    assert await result(future) == "done"
    history = await system.until_final(future.flow_run_id)
    assert history.run is not None
    assert history.run.client_name == "w2"
    assert len({line.split()[1] for line in said(tmp_path)}) == 2


async def test_flows_wait_for_what_they_delay_and_hold_no_place(system: Running) -> None:
    await system.worker(FILE, concurrency=1)
    for flow, expected in (("ordered", ["hello x", "hello x!"]), ("ordered-async", "hello x")):
        life = (await system.until_final(await system.trigger(flow, name="x"))).run
        assert life is not None
        assert life.state.value == "COMPLETED", life.error
        assert msgspec.json.decode(life.result.value) == expected


async def test_a_resumed_flow_delays_nothing_twice(system: Running, tmp_path: Path) -> None:
    worker = await system.worker(FILE)
    run_id = await system.trigger("delays-once", folder=str(tmp_path))

    def is_there(history: History) -> bool:
        return any(life.name == "patient" for life in history.tasks.values())

    await system.until(run_id, is_there)
    worker.kill()
    (tmp_path / "go").touch()
    await system.worker(FILE, name="w2")
    life = (await system.until_final(run_id)).run
    assert life is not None
    assert life.epoch == 2
    delayed = msgspec.json.decode(life.result.value)
    await system.until_final(delayed)
    path = f"http://127.0.0.1:{system.system.settings.port}/api/engine/runs"
    async with httpx.AsyncClient() as http:
        runs = (await http.get(path, params={"flow": "task/greet"})).json()
    assert [run["id"] for run in runs] == [delayed]


SCRIPT = """
from perfect_sdk import task
from perfect_sdk.task_worker import serve

@task
def double(n: int) -> int:
    return 2 * n

@task
def triple(n: int) -> int:
    return 3 * n

if __name__ == "__main__":
    CALL
"""


@pytest.mark.parametrize(
    ("call", "names"),
    [("double.serve()", "task/double"), ("serve(double, triple, limit=2)", "task/double, task/triple")],
)
@pytest.mark.usefixtures("connected")
async def test_a_script_serves_its_tasks(system: Running, tmp_path: Path, call: str, names: str) -> None:
    file = tmp_path / f"served_{len(names)}.py"
    file.write_text(SCRIPT.replace("CALL", call))
    future = load_module(str(file)).double.delay(21)
    with subprocess.Popen(
        [sys.executable, file.name],
        cwd=tmp_path,
        env={**os.environ, **system.system.settings.environment()},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert await result(future) == 42
        finally:
            process.terminate()
        assert process.stderr is not None
        assert f"serves {names} (" in await asyncio.to_thread(process.stderr.read)


@pytest.mark.usefixtures("connected")
async def test_a_future_of_a_run_that_is_gone_says_so(system: Running) -> None:
    from perfect_sdk.background.distributed_future import PerfectDistributedFuture

    with pytest.raises(NotFound, match="is not on the bus"):
        PerfectDistributedFuture(ids.uuid7(), tasks.greet).wait()
