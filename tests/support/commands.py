"""The `perfect` command as a process, and the whole tree of processes below it."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

PERFECT = (sys.executable, "-c", "import sys; from perfect_sdk.cli import main; sys.exit(main())")


class Ended(NamedTuple):
    code: int
    output: str  # stdout and stderr


async def start(*arguments: str | Path, cwd: Path, **environment: str) -> asyncio.subprocess.Process:
    """In a session of its own; its output is read by `finish`."""
    return await asyncio.create_subprocess_exec(
        *PERFECT,
        *map(str, arguments),
        cwd=cwd,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )


async def finish(process: asyncio.subprocess.Process, timeout_s: float) -> Ended:
    """Its end. Kills it when that does not come in time, and fails."""
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        process.kill()
        output, _ = await process.communicate()
        raise AssertionError(f"did not end within {timeout_s} s:\n{output.decode()}") from None
    return Ended(process.returncode or 0, output.decode())


async def perfect(*arguments: str | Path, cwd: Path, timeout_s: float = 60, **environment: str) -> Ended:
    return await finish(await start(*arguments, cwd=cwd, **environment), timeout_s)


async def until_says(process: asyncio.subprocess.Process, text: str, timeout_s: float = 60) -> str:
    """Its output up to the line that has `text` in it."""
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(timeout_s):
            while text not in said:
                line = await process.stdout.readline()
                assert line, f"ended without saying {text!r}:\n{said}"
                said += line.decode()
    except TimeoutError:
        raise AssertionError(f"did not say {text!r} within {timeout_s} s:\n{said}") from None
    return said


def tree(pid: int) -> list[int]:
    """All processes below `pid`."""
    found: list[int] = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, file.read_text().split()):
                found += [child, *tree(child)]
    return found


def alive(pids: list[int]) -> list[str]:
    """Those that still run, with their command lines; what has ended but is not reaped does not count."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
                found.append(f"{pid}: {command}")
    return found


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
