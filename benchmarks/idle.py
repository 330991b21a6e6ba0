"""W5: what `perfect up` costs while nothing runs: start until healthy, memory (PSS) and CPU of all its processes.

The floor of the CPU is measured in the same seconds: a second nats-server over a copy of the same streams, to which nobody
is connected. It looks after each stream every `sync_interval`, which is what bounds the loss at a power cut.
"""

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from figures import Figure, Workload
from harness import System, system
from processor import on_processor_s

from perfect_bus.settings import Settings
from perfect_runtime.natsd import NatsServer

SECONDS = 10
GOAL_READY_S = 1.5
GOAL_MB = 200
GOAL_PERCENT = 0.5


def measure(running: System, seconds: float = SECONDS, settle_s: float = 3) -> Workload:
    """The system has no worker, and was started on nothing."""
    with server_alone(running.folder) as alone:
        time.sleep(settle_s)
        pids = running.processes()
        before, alone_before = on_processor_s(pids), on_processor_s([alone])
        time.sleep(seconds)
        percent = (on_processor_s(pids) - before) / seconds * 100
        floor = (on_processor_s([alone]) - alone_before) / seconds * 100
    sizes = {f"{command(pid)} ({pid})": pss_mb(pid) for pid in pids}
    for name, size in sizes.items():
        print(f"  {size:6.1f} MB  {name}")
    return Workload(
        id="W5",
        done=f"`perfect up` from nothing, then idle for {seconds:g} s",
        figures=[
            Figure(name="start until healthy", unit="s", value=running.ready_s, goal=GOAL_READY_S),
            Figure(name="memory", unit="MB PSS", value=sum(sizes.values()), goal=GOAL_MB),
            Figure(
                name="processor",
                unit="% of a core",
                value=percent,
                goal=GOAL_PERCENT,
                floor=floor,
                floor_is="nats-server alone with the same streams, nobody connected",
            ),
        ],
    )


@contextlib.contextmanager
def server_alone(data_dir: Path) -> Iterator[int]:
    """A nats-server of its own over a copy of the streams of the idle system, set up as its own. Yields the pid."""
    is_strict = "sync_interval: always" in (data_dir / "nats.conf").read_text()
    with tempfile.TemporaryDirectory(prefix="perfect-bench-") as folder:
        shutil.copytree(data_dir / "nats", Path(folder) / "nats")
        server = NatsServer(
            Settings(data_dir=Path(folder), durability="strict" if is_strict else "default", nats_port=0)
        )
        server.start()
        try:
            yield server.pid or 0
        finally:
            server.stop()


def pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def command(pid: int) -> str:
    return " ".join(Path(f"/proc/{pid}/cmdline").read_text().split("\0"))[-60:].strip()


if __name__ == "__main__":
    with system(workers=0) as running:
        measure(running).say()
