"""`perfect demo` and `perfect up` as commands: what they say, and that nothing stays behind when they end."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from commands import alive, finish, kill_all, perfect, start, tree, until_says
from eventually import eventually
from running import FLOWS, free_port
from site_client import Site

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes through /proc")
UP_PROCESSES = 4  # nats-server, projector, gateway, the light services


async def ended_with_everything(process: asyncio.subprocess.Process, below: list[int]) -> tuple[int, str]:
    """Exit code and last output of `process`; fails when it, or one that was below it, is there after 5 s."""
    try:
        async with asyncio.timeout(5):
            output, _ = await process.communicate()
            await eventually(lambda: not alive(below))
    except (TimeoutError, AssertionError):
        left = alive([process.pid, *below])
        kill_all([process.pid, *below])
        raise AssertionError(f"still there after 5 s: {left}") from None
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_demo_runs_the_examples_and_ends(tmp_path: Path) -> None:
    port = str(free_port())
    ended = await perfect("demo", "--exit", "--port", port, cwd=tmp_path, timeout_s=50)
    assert ended.code == 0, ended.output
    for flow in ("Seattle weather", "Digits", "Machine monitor"):
        [line] = [line for line in ended.output.splitlines() if line.startswith(flow)]
        assert "COMPLETED" in line
        assert "100%" in line
    assert "3 runs" in ended.output
    assert "agrees with every one of them" in ended.output
    assert f"http://127.0.0.1:{port}" in ended.output
    data = tmp_path / ".perfect"
    assert data.stat().st_mode & 0o777 == 0o700
    assert not (data / "connection.json").exists()

    again = await perfect("demo", "--exit", "--port", port, cwd=tmp_path, timeout_s=50)
    assert again.code == 0, again.output
    assert "6 runs" in again.output, "the second demo goes on with the data of the first"


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
async def test_demo_that_is_interrupted_leaves_nothing(tmp_path: Path, sig: signal.Signals) -> None:
    process = await start("demo", "--port", str(free_port()), cwd=tmp_path)
    await until_says(process, "Ctrl-C ends everything", 50)
    assert process.pid
    below = tree(process.pid)
    assert len(alive(below)) >= UP_PROCESSES + 2, "with a worker and its executors"
    process.send_signal(sig)
    code, output = await ended_with_everything(process, below)
    assert code == 0, output
    assert "Traceback" not in output


async def test_demo_that_is_interrupted_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    process = await start("demo", "--port", str(free_port()), cwd=tmp_path)
    await until_says(process, "is up after")
    below = tree(process.pid)
    process.send_signal(signal.SIGINT)
    code, output = await ended_with_everything(process, below)
    assert code == 130, output
    assert "Traceback" not in output


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_up_leaves_nothing(tmp_path: Path, sig: signal.Signals) -> None:
    """Also while a page listens and a run is under way. A worker of its own waits for the system to come back."""
    port = free_port()
    process = await start("up", "--port", str(port), cwd=tmp_path)
    said = await until_says(process, "stop with Ctrl-C")
    assert f"http://127.0.0.1:{port}" in said
    below = tree(process.pid)
    assert len(alive(below)) >= UP_PROCESSES
    worker = await start("worker", FLOWS / "gated.py", "--name", "own", "--drain", "0", cwd=tmp_path)
    await until_says(worker, "own serves")
    gates = tmp_path / "gates"
    gates.mkdir()
    os.mkfifo(gates / "gate-0")
    async with Site.of(f"http://127.0.0.1:{port}") as site, site.events() as messages:
        await anext(messages)
        await site.trigger("Gated steps", folder=str(gates), count=1)
        async for message in messages:
            if message.name == "message" and message.data["type"] == "task.started":
                break
        process.send_signal(sig)
        code, output = await ended_with_everything(process, below)
    assert code == (-sig if sig == signal.SIGKILL else 0), output
    assert "Traceback" not in output

    workers = [worker.pid, *tree(worker.pid)]
    assert len(alive(workers)) >= 2
    worker.send_signal(signal.SIGTERM)
    ended = await finish(worker, 8)
    assert ended.code == 0, ended.output
    assert not alive(workers)
