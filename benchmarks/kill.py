"""W7: kill -9 in mid-flow: how long until user code goes on, with nobody starting anything by hand.

First the executor that the code runs in, then a whole host's worker: supervisor and executors at once, with another
worker there to go on. Leases are the default ones.
"""

import os
import signal
import tempfile
import time
from pathlib import Path

from figures import Workload, median_of
from harness import System, system

GOAL_EXECUTOR_S = 1.0
GOAL_HOST_S = 6.0
STEPS = 100
KILL_AT = 20
PATIENCE_S = 60


def measure(running: System, steps: int = STEPS, kill_at: int = KILL_AT, rounds: int = 2) -> Workload:
    """The system has two workers; it has one less afterwards."""
    executor = [resumed_after_s(running, steps, kill_at, whole_host=False) for _ in range(rounds)]
    host = [resumed_after_s(running, steps, kill_at, whole_host=True)]
    return Workload(
        id="W7",
        done=f"kill -9 in mid-flow, at step {kill_at} of {steps}, until user code goes on by itself",
        figures=[
            median_of(executor, name="executor", unit="s", goal=GOAL_EXECUTOR_S),
            median_of(host, name="whole worker host", unit="s", goal=GOAL_HOST_S),
        ],
    )


def resumed_after_s(running: System, steps: int, kill_at: int, *, whole_host: bool) -> float:
    with tempfile.TemporaryDirectory(prefix="perfect-kill-") as folder:
        said = Path(folder) / "steps"
        run_id = running.api.trigger("bench steps", path=str(said), count=steps)
        pid = _until(said, kill_at)[-1][1]
        victims = host_of(pid) if whole_host else [pid]
        killed_ns = time.time_ns()
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        went_on_ns = next(at for _, by, at in _until(said, kill_at + 1, not_by=pid) if by != pid)
        run = running.api.wait(run_id)
        lines = _read(said)
    if run["state"] != "COMPLETED" or {n for n, _, _ in lines} != set(range(steps)):
        raise RuntimeError(f"run {run_id} is {run['state']} after a kill, with {len(lines)} steps")
    repeated = len(lines) - steps
    if repeated > 1:
        raise RuntimeError(f"run {run_id} did {repeated} completed steps again after a kill")
    return (went_on_ns - killed_ns) / 1e9


def host_of(executor: int) -> list[int]:
    """The supervisor, then all its children."""
    supervisor = int(Path(f"/proc/{executor}/stat").read_text().rpartition(")")[2].split()[1])
    found = [supervisor]
    for children in Path(f"/proc/{supervisor}/task").glob("*/children"):
        found += [int(child) for child in children.read_text().split()]
    return found


def _until(said: Path, count: int, not_by: int | None = None) -> list[tuple[int, int, int]]:
    """The steps, once there are `count`, and one by another process than `not_by`."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        lines = _read(said)
        if len(lines) >= count and (not_by is None or lines[-1][1] != not_by):
            return lines
        time.sleep(0.002)
    raise TimeoutError(f"only {len(_read(said))} steps were done within {PATIENCE_S} s")


def _read(said: Path) -> list[tuple[int, int, int]]:
    """(step, process, instant in ns) of each step that began."""
    text = said.read_text() if said.exists() else ""
    found = []
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            step, pid, at_ns = line.split()
            found.append((int(step), int(pid), int(at_ns)))
    return found


if __name__ == "__main__":
    with system(workers=2) as running:
        measure(running).say()
