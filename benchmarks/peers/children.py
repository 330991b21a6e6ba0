"""Processes of one side of a comparison: started with a log, measured, and ended with everything that they started."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from idle import pss_mb
from processor import on_processor_s

SETTLE_S, REST_S = 2.0, 5.0  # how long a side is left alone before it is measured, and while it is


class Children:
    def __init__(self) -> None:
        self._started: list[subprocess.Popen[str]] = []

    def start(
        self,
        command: list[str],
        environment: dict[str, str],
        log: Path,
        *,
        is_asked: bool = False,
        user: str | None = None,
    ) -> subprocess.Popen[str]:
        """is_asked: with pipes to talk to it, a line each way. user: None = whoever runs this."""
        pipe = subprocess.PIPE if is_asked else subprocess.DEVNULL
        with log.open("a") as out:
            process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=pipe,
                stdout=subprocess.PIPE if is_asked else out,
                stderr=out,
                text=True,
                cwd=log.parent,
                user=user,
                extra_groups=[] if user else None,
            )
        self._started.append(process)
        return process

    def stop(self) -> None:
        for process in reversed(self._started):
            family = tree(process.pid)
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
        self._started.clear()


def tree(pid: int) -> list[int]:
    """The process and all below it; of a process that is gone, nothing."""
    found = [pid] if Path(f"/proc/{pid}").exists() else []
    for one in found:
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(child) for child in children.read_text().split()]
    return found


def at_rest(pids: list[int], seconds: float) -> tuple[float, float]:
    """(memory in MB, PSS; processor time, % of one core) over `seconds`."""
    if not pids:
        return 0.0, 0.0
    before = on_processor_s(pids)
    time.sleep(seconds)
    return sum(map(pss_mb, pids)), (on_processor_s(pids) - before) / seconds * 100
