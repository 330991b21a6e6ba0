"""A whole system as child processes: it comes up, heals, and leaves nothing behind."""

import asyncio
import os
import signal
import socket
import sys

import msgspec
import pytest
from eventually import eventually
from fake_worker import Worker, register, trigger, types
from nats.errors import TimeoutError as NatsTimeout

from perfect_bus import Bus
from perfect_bus.settings import find_connection
from perfect_runtime.errors import CannotStart
from perfect_runtime.natsd import free_port
from perfect_runtime.up import System
from perfect_schemas.errors import InvalidInput

CORE = [["registry", "engine"]]


@pytest.fixture
def settings(settings):
    return msgspec.structs.replace(settings, port=free_port("127.0.0.1"))


@pytest.fixture
async def system(settings):
    async with System(settings, groups=CORE) as system:
        yield system


@pytest.fixture
async def own_bus(system):
    bus = await Bus.connect(system.connection, name="test")
    yield bus
    await bus.close(0.2)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_ready_and_found_by_its_folder(system, own_bus):
    assert {
        await_health.status for await_health in [await system.health(name) for name in system.services]
    } == {"ready"}
    assert find_connection(system.settings) == system.connection
    assert oct(system.settings.connection_file.stat().st_mode)[-3:] == "600"
    await register(own_bus, "etl")
    worker = await Worker(own_bus, "etl", lease_s=30).connect()
    run = await trigger(own_bus, "etl")
    assert (await worker.take("etl")).run_id == run.run_id


async def test_a_killed_service_comes_back(system, own_bus):
    await register(own_bus, "etl", flow_version="v1")
    [child] = system.children
    killed = child.pid
    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: child.pid not in {None, killed})
    await system.wait_ready()
    assert not (await register(own_bus, "etl", flow_version="v1")).new


async def test_a_killed_nats_server_comes_back_where_it_was(system, own_bus):
    await register(own_bus, "etl", flow_version="v1")
    before, connection = system.nats.pid, system.nats.connection
    os.kill(before, signal.SIGKILL)
    await eventually(lambda: system.nats.pid not in {None, before})
    assert system.nats.connection == connection
    assert not (await register(own_bus, "etl", flow_version="v1")).new
    assert all(child.deaths == 0 for child in system.children)


async def test_stop_leaves_nothing(settings):
    system = System(settings, groups=CORE)
    await system.start()
    await system.wait_ready()
    pids = [system.nats.pid, *(child.pid for child in system.children)]
    await system.stop()
    await system.stop()
    assert not any(map(is_alive, pids))
    assert not settings.connection_file.exists()


async def test_data_folder_in_use(system):
    other = System(msgspec.structs.replace(system.settings, port=free_port("127.0.0.1")), groups=CORE)
    with pytest.raises(CannotStart, match=f"in use by another Perfect system .pid {os.getpid()}"):
        await other.start()
    await other.stop()
    assert system.settings.connection_file.exists()


async def test_port_in_use(settings):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.port))
        taken.listen()
        system = System(settings, groups=[["gateway"]])
        with pytest.raises(CannotStart, match=f"port {settings.port} of 127.0.0.1 is in use"):
            await system.start()
        await system.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.org"])
async def test_other_machines_cannot_reach_it(settings, host):
    system = System(msgspec.structs.replace(settings, host=host), groups=CORE)
    with pytest.raises(InvalidInput, match="not a loopback address"):
        await system.start()


async def test_a_service_that_cannot_come_up(settings):
    system = System(settings, groups=[["nonsense"]])
    await system.start()
    with pytest.raises(CannotStart, match="there is no service 'nonsense'"):
        await system.wait_ready()
    await system.stop()


async def test_external_nats(settings, nats_server, tmp_path):
    access = nats_server.connection
    url = access.url.replace("//", f"//{access.user}:{access.password}@")
    settings = msgspec.structs.replace(settings, data_dir=tmp_path / "other", nats_url=url)
    async with System(settings, groups=CORE) as system:
        assert system.nats is None
        assert find_connection(settings).password == access.password
        assert system.connection.url == access.url


UP = [sys.executable, "-m", "perfect_runtime"]


async def start_up(settings, *arguments):
    """`perfect up` as a process; returns it and the pids of its children once nats and a service run."""
    process = await asyncio.create_subprocess_exec(
        *UP,
        "up",
        "--data-dir",
        str(settings.data_dir),
        "--port",
        str(settings.port),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    children = f"/proc/{process.pid}/task/{process.pid}/children"

    def pids():
        with open(children) as file:
            found = [int(pid) for pid in file.read().split()]
        return found if len(found) >= 2 else None

    return process, await eventually(pids)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_no_orphans(settings, sig):
    process, pids = await start_up(settings)
    process.send_signal(sig)
    async with asyncio.timeout(60):
        await process.communicate()
        await eventually(lambda: not any(map(is_alive, pids)))
    assert process.returncode == (-9 if sig == signal.SIGKILL else 0)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["up", "--host", "0.0.0.0"], 2, "no login yet"),
        (["service", "nonsense"], 2, "there is no service 'nonsense'"),
        (["service", "engine", "--nats", "nats://a:geheim@127.0.0.1:9"], 1, "does not answer"),
    ],
)
async def test_exit_codes(tmp_path, arguments, code, says, monkeypatch):
    monkeypatch.chdir(tmp_path)
    process = await asyncio.create_subprocess_exec(
        *UP, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await process.communicate())[0].decode()
    assert process.returncode == code
    assert says in output
    assert "geheim" not in output


async def test_kills_in_the_middle_of_the_work(system, own_bus):
    """Registry and engine, then nats-server, die while runs are triggered and taken: each run ends once."""
    await register(own_bus, "etl", flow_version="v1")
    worker = await Worker(own_bus, "etl", slots=5, lease_s=30).connect()
    count = 60
    runs = [asyncio.create_task(trigger(own_bus, "etl")) for _ in range(count)]
    done = 0
    kills = {
        10: lambda: system.children[0].pid,
        25: lambda: system.nats.pid,
        40: lambda: system.children[0].pid,
    }
    while done < count:
        try:
            claimed = await worker.claim(await worker.take("etl", timeout=1))
        except (NatsTimeout, TimeoutError):
            continue
        if claimed is not None:
            await worker.complete(claimed)
            done += 1
            if done in kills and (pid := kills.pop(done)()):
                os.kill(pid, signal.SIGKILL)
    for run in await asyncio.gather(*runs):
        assert await types(own_bus, run.run_id) == ["scheduled", "queued", "started", "completed"]
