"""Plain calls of a flow while a system is running, and while something is there that is none."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from eventually import eventually
from fake_worker import until

from perfect_bus import Bus
from perfect_bus.bus import Connection
from perfect_bus.settings import Settings
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_schemas import subjects
from perfect_schemas.commands import CancelRun, PauseRun, ResumeRun
from perfect_schemas.events import ClientConnected, ClientDisconnected
from perfect_schemas.folds.history import History
from perfect_sdk.connecting import connect

SCRIPT = """
import sys, time
from perfect_sdk import flow, task, get_run_logger

@task
def double(n: int) -> int:
    get_run_logger().info("doubling %d", n)
    return 2 * n

@flow
def by_hand(n: int, seconds: float = 0) -> int:
    result = double(n)
    print("begun", flush=True)
    time.sleep(seconds)
    return result

if __name__ == "__main__":
    print("result", by_hand(int(sys.argv[1]), float(sys.argv[2])))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "by_hand_script.py"
    file.write_text(SCRIPT)
    return file


@pytest.fixture
def environment(settings: Settings, connection: Connection) -> dict[str, str]:
    return {
        **os.environ,
        **settings.environment(),
        "PERFECT_NATS_URL": f"nats://{connection.user}:{connection.password}@{connection.url.removeprefix('nats://')}",
    }


def start(script: Path, environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(script), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=script.parent,
    )


async def only_run(bus: Bus) -> History:
    last, _ = await bus.last_of_each(subjects.ALL_RUNS)
    [subject] = last
    run_id = subject.rpartition(".")[2]
    history = History()
    for seq, event in sorted(
        [*await bus.read(subject), *await bus.read(subjects.task(run_id))], key=lambda pair: pair[0]
    ):
        history.apply(event, seq)
    return history


async def client_events(bus: Bus) -> list[str]:
    last, _ = await bus.last_of_each(subjects.ALL_CLIENTS, stream="DEFS")
    return [event.type for subject in last for _, event in await bus.read(subject, stream="DEFS")]


async def test_a_plain_call_is_recorded(bus: Bus, start_service, script: Path, environment) -> None:
    await start_service(RegistryService)
    await start_service(EngineService)
    process = start(script, environment, "21", "0")
    out, errors = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0, errors
    assert out.split() == ["begun", "result", "42"]
    assert "doubling 21" in errors
    assert "perfect:" not in errors  # no hint, no complaint
    history = await only_run(bus)
    assert history.run.state == "COMPLETED"
    assert history.run.origin == "local"
    assert history.run.flow_name == "by-hand"
    assert [task.state for task in history.tasks.values()] == ["COMPLETED"]
    lines = [
        line.message
        for _, batch in await bus.read(subjects.log(history.run.id), stream="LOGS")
        for line in batch.lines
    ]
    assert "doubling 21" in lines
    assert await client_events(bus) == [
        ClientConnected.__struct_config__.tag,
        ClientDisconnected.__struct_config__.tag,
    ]


async def test_a_task_outside_of_a_flow_is_not_recorded(
    bus: Bus, start_service, script: Path, environment
) -> None:
    await start_service(RegistryService)
    await start_service(EngineService)
    script.write_text(
        SCRIPT.replace("by_hand(int(sys.argv[1]), float(sys.argv[2]))", "double(int(sys.argv[1]))")
    )
    process = start(script, environment, "21")
    out, errors = await asyncio.to_thread(process.communicate, timeout=60)
    assert process.returncode == 0, errors
    assert out == "result 42\n"
    assert "double-0: doubling 21" in errors
    assert await bus.last_of_each(subjects.ALL_RUNS) == ({}, 0)
    assert await client_events(bus) == []


async def test_a_killed_script_ends_its_run_as_crashed(
    bus: Bus, start_service, script: Path, environment
) -> None:
    await start_service(RegistryService)
    await start_service(EngineService)
    process = start(script, environment, "1", "60")
    assert await asyncio.to_thread(process.stdout.readline) == "begun\n"
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.communicate)

    async def is_crashed() -> bool:
        return (await only_run(bus)).run.state == "CRASHED"

    await eventually(is_crashed, every_s=0.1)


async def test_without_services_the_run_is_recorded_all_the_same(bus: Bus, script: Path, environment) -> None:
    process = start(script, environment, "2", "0")
    out, errors = await asyncio.to_thread(process.communicate, timeout=60)
    assert "result 4" in out
    assert "was not registered: no service answers" in errors
    assert (await only_run(bus)).run.state == "COMPLETED"


def test_without_a_system_it_runs_plainly_and_at_once(
    script: Path, tmp_path: Path, unused_tcp_port: int
) -> None:
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "PERFECT_NATS_URL": f"nats://a:b@127.0.0.1:{unused_tcp_port}",
    }
    process = start(script, environment, "3", "0")
    out, errors = process.communicate(timeout=60)
    assert "result 6" in out
    assert errors.count("perfect:") == 1
    assert "perfect up" in errors


def test_deciding_takes_a_tenth_of_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something listens and accepts nothing: the backlog is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = listener.getsockname()[1]
    filling = [socket.socket() for _ in range(3)]
    for one in filling:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", port))
    monkeypatch.setenv("PERFECT_NATS_URL", f"nats://127.0.0.1:{port}")
    started = time.perf_counter()
    assert connect.find() is None
    assert time.perf_counter() - started < 10  # the system's own limit is minutes
    for one in (listener, *filling):
        one.close()


def test_find_reads_the_connection_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, connection: Connection
) -> None:
    folder = tmp_path / "project"
    (folder / "deep").mkdir(parents=True)
    (folder / ".perfect").mkdir()
    connection.save(folder / ".perfect" / "connection.json")
    monkeypatch.chdir(folder / "deep")
    assert connect.find() == connection


def test_two_calls_share_a_client(
    monkeypatch: pytest.MonkeyPatch, connection: Connection, nats_server, tmp_path: Path
) -> None:
    from perfect_sdk import flow
    from perfect_sdk.connecting.io import IO

    io = IO(connection, name="test")

    async def streams() -> None:
        await io.bus.ensure_streams()

    io.call(streams)
    url = f"nats://{connection.user}:{connection.password}@{connection.url.removeprefix('nats://')}"
    monkeypatch.setenv("PERFECT_NATS_URL", url)
    monkeypatch.setattr(connect, "REGISTER_S", 0.1)

    @flow
    def one() -> int:
        return 1

    @flow
    async def two() -> int:
        return one() + 1

    try:
        assert one() == 1
        assert asyncio.run(two()) == 2

        async def clients() -> list[str]:
            return await client_events(io.bus)

        assert io.call(clients) == ["client.connected"]
        connect.leave()
        assert io.call(clients) == ["client.connected", "client.disconnected"]
    finally:
        connect.leave()
        io.close()


STEERED = """
import time

from perfect_sdk import flow, get_run_logger, sleep, task
from perfect_sdk.context import current

@task
def say(n: int) -> None:
    print("task", n, flush=True)

@flow
def naps() -> None:
    say(1)
    print("begun", flush=True)
    sleep(SECONDS)
    say(2)

@flow
def goes_on() -> None:
    say(1)
    print("begun", flush=True)
    while not current.get().session.is_pausing:  # what is pushed may take a moment
        time.sleep(0.01)
    say(2)
    print("after", flush=True)

if __name__ == "__main__":
    FLOW()
    print("done", flush=True)
"""


def steered(script: Path, environment: dict[str, str], flow: str) -> subprocess.Popen[str]:
    script.write_text(STEERED.replace("FLOW", flow).replace("SECONDS", "600"))
    return subprocess.Popen(
        [sys.executable, str(script)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=script.parent,
    )


async def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


async def test_a_script_hears_that_its_run_is_cancelled(
    bus: Bus, start_service, script: Path, environment
) -> None:
    """It sleeps, and says nothing by which the guard could reveal it."""
    await start_service(RegistryService)
    await start_service(EngineService)
    process = steered(script, environment, "naps")
    assert [await line(process), await line(process)] == ["task 1", "begun"]
    run = (await only_run(bus)).run
    await bus.ask(subjects.command("engine", "cancel"), CancelRun(run_id=run.id, by="ann"))
    out, errors = await asyncio.to_thread(process.communicate, timeout=60)
    assert "CancelledRun" in errors
    assert "done" not in out
    [*_, (_, cancelling), (_, cancelled)] = await bus.read(subjects.run(run.id))
    assert (cancelling.type, cancelled.type) == ("run.cancelling", "run.cancelled")
    assert cancelled.source.startswith("client:")  # said by the script, not by the engine after the grace


async def test_a_script_stands_still_while_its_run_is_paused(
    bus: Bus, start_service, script: Path, environment
) -> None:
    await start_service(RegistryService)
    await start_service(EngineService)
    with steered(script, environment, "goes_on") as process:
        assert [await line(process), await line(process)] == ["task 1", "begun"]
        run_id = (await only_run(bus)).run.id
        await bus.ask(subjects.command("engine", "pause"), PauseRun(run_id=run_id, by="ann"))
        _, suspended = await until(bus, run_id, "suspended")
        assert suspended.key == "pausing-1"
        await bus.ask(subjects.command("engine", "resume"), ResumeRun(run_id=run_id, by="ann"))
        assert [await line(process) for _ in range(3)] == ["task 2", "after", "done"]
        assert await asyncio.to_thread(process.wait, 60) == 0
    history = await only_run(bus)
    assert (history.run.state, history.run.epoch, len(history.tasks)) == ("COMPLETED", 2, 2)
