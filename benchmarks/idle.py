"""What `perfect up` costs while nothing runs: start until healthy, memory (PSS) and CPU of all its processes."""

import os
import time
from pathlib import Path

from harness import report, system

SECONDS = 10


def main() -> None:
    with system(workers=0) as running:
        time.sleep(3)
        pids = running.processes()
        before = cpu_seconds(pids)
        time.sleep(SECONDS)
        percent = (cpu_seconds(pids) - before) / SECONDS * 100
        sizes = {f"{command(pid)} ({pid})": pss_mb(pid) for pid in pids}
        total = sum(sizes.values())
    for name, size in sizes.items():
        print(f"  {size:6.1f} MB  {name}")
    report(
        "idle",
        f"healthy after {running.ready_s:.2f} s, {total:.0f} MB PSS, {percent:.2f} % CPU",
        ready_s=running.ready_s,
        pss_mb=total,
        cpu_percent=percent,
    )


def cpu_seconds(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def command(pid: int) -> str:
    return " ".join(Path(f"/proc/{pid}/cmdline").read_text().split("\0"))[-60:].strip()


if __name__ == "__main__":
    main()
