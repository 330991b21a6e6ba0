"""Signals whose effect a test has to see before it goes on."""

import os
import signal
import time
from pathlib import Path


def stop(pid: int) -> None:
    """SIGSTOP, and wait until every thread of the process stands still: on a busy machine that takes its time."""
    os.kill(pid, signal.SIGSTOP)
    while not all(_state(thread) in "TtZX" for thread in Path(f"/proc/{pid}/task").iterdir()):
        time.sleep(0.001)


def _state(thread: Path) -> str:
    """T: stopped."""
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "X"
