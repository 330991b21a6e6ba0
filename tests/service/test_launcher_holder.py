"""The process that holds a client process, alone: what it tells, how it ends what it holds, who is told."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eventually import eventually
from launching import is_alive

from perfect_launcher import holder, lock, sockets
from perfect_launcher.link import Link
from perfect_launcher.output import FILE_BYTES

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
TWICE = """
import signal, sys
heard = []
def hear(*_):
    heard.append(1)
    print('heard', len(heard), flush=True)
    if len(heard) == 2:
        sys.exit(7)
signal.signal(signal.SIGTERM, hear)
print('listens', flush=True)
while True:
    signal.pause()
"""
MUCH = """
import sys
for n in range(3 * 1024):
    print(f'{n:5d}', 'x' * 8000)
print('the last line', flush=True)
sys.stdin.read()
import signal; signal.pause()
"""
Hold = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def socket_file(tmp_path: Path) -> Path:
    """Deeper than an address may be long."""
    folder = tmp_path / ("deep" * 20) / ("er" * 20)
    folder.mkdir(parents=True)
    return folder / "held.sock"


@pytest.fixture
def hold(socket_file: Path, tmp_path: Path) -> Iterator[Hold]:
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str, alone_s: float = 60.0) -> subprocess.Popen[bytes]:
        descriptor = lock.take(tmp_path / "held.lock")
        assert descriptor is not None
        with sockets.listen(socket_file) as listener:
            spec = {
                "log": str(tmp_path / "held.log"),
                "listener": listener.fileno(),
                "lock": descriptor,
                "folder": str(tmp_path),
                "alone_s": alone_s,
                "command": command,
            }
            started.append(
                subprocess.Popen(
                    [sys.executable, "-P", "-m", "perfect_launcher.holder", json.dumps(spec)],
                    pass_fds=(descriptor, listener.fileno()),
                )
            )
        os.close(descriptor)
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()


async def met(socket_file: Path) -> Link:
    link = await Link.find(socket_file)
    assert link is not None
    return link


@pytest.mark.parametrize(
    ("program", "first", "grace_s", "hurry", "code"),
    [
        (STUBBORN, "deaf", 0.5, False, -9),
        (TWICE, "listens", 10.0, True, 7),
        ("print('done')", "done", 0.0, False, 0),
    ],
)
async def test_it_is_ended_as_hard_as_it_takes(
    hold: Hold,
    socket_file: Path,
    tmp_path: Path,
    program: str,
    first: str,
    grace_s: float,
    hurry: bool,
    code: int,
) -> None:
    held = hold(sys.executable, "-u", "-c", program)
    link = await met(socket_file)
    lines = list(link.lines)

    def heard(line: str) -> None:
        lines.append(line)

    following = asyncio.create_task(link.follow(heard))
    await eventually(lambda: first in lines)
    if code:
        assert is_alive(link.pid)
        link.end(grace_s, hurry=hurry)
    assert await following == code
    assert not is_alive(link.pid)
    assert (tmp_path / "held.log").read_text().split("\n")[:-1] == lines
    again = lock.take(tmp_path / "held.lock")  # free from the moment that the end is heard
    assert again is not None
    os.close(again)
    link.close()
    assert await asyncio.to_thread(held.wait) == 0
    assert await Link.find(socket_file) is None


async def test_whoever_reads_too_slowly_is_let_go_and_finds_the_end_again(
    hold: Hold, socket_file: Path, tmp_path: Path
) -> None:
    hold(sys.executable, "-u", "-c", MUCH)
    slow = await met(socket_file)
    log = tmp_path / "held.log"
    await eventually(lambda: log.exists() and "the last line" in log.read_text(errors="replace"))
    assert log.stat().st_size <= FILE_BYTES
    assert log.with_suffix(".log.1").stat().st_size <= FILE_BYTES
    back = await met(socket_file)
    assert back.pid == slow.pid
    assert back.lines[-1] == "the last line"
    assert sum(map(len, back.lines)) <= 256 * 1024
    assert await slow.follow(lambda _: None) is None  # it was let go
    slow.close()
    back.end(5.0, hurry=False)
    assert await back.follow(lambda _: None) == -15
    back.close()


async def test_an_end_that_nobody_heard_is_kept_for_who_comes(
    hold: Hold, socket_file: Path, tmp_path: Path
) -> None:
    hold(sys.executable, "-c", "print('short'); raise SystemExit(3)")
    await eventually(
        lambda: "short" in (tmp_path / "held.log").read_text() if (tmp_path / "held.log").exists() else ""
    )
    link = await met(socket_file)
    heard: list[str] = []
    assert await link.follow(heard.append) == 3
    assert [*link.lines, *heard] == ["short"]
    link.close()


async def test_alone_for_too_long_it_ends_what_it_holds(hold: Hold, tmp_path: Path) -> None:
    held = hold(sys.executable, "-c", "import signal; signal.pause()", alone_s=0.1)
    assert await asyncio.to_thread(held.wait) == 0
    assert "no launcher came back within 0.1 s" in (tmp_path / "held.log").read_text()


async def test_what_cannot_be_started_is_said(hold: Hold, socket_file: Path, tmp_path: Path) -> None:
    held = hold(str(tmp_path / "no-such-program"))
    with pytest.raises(OSError, match="no-such-program"):
        await Link.find(socket_file)
    assert await asyncio.to_thread(held.wait) == 0


async def test_it_imports_little() -> None:
    """There is one for each client process."""
    program = "import sys, perfect_launcher.holder; print(*sys.modules)"
    found = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", program, stdout=asyncio.subprocess.PIPE
    )
    modules = set((await found.communicate())[0].decode().split())
    assert holder.__name__ in modules
    assert not modules & {"asyncio", "msgspec", "nats", "perfect_bus", "perfect_schemas"}
