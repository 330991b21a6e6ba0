"""What the SDK costs its users: importing it, mapping a task over 1,000 items, 1,000 awaits at once on their event loop."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import Api, system

ROUNDS = 5
MAPPED = 1000
GOALS = {"import_s": 0.15, "import_mb": 35.0, "map_tasks_per_s": 2000.0}
FLOWS = """\
import asyncio
import time

from perfect_sdk import ThreadPoolTaskRunner, flow, task

@task
def nothing(n: int) -> int:
    return n

@task
async def nap(n: int) -> int:
    await asyncio.sleep(0.2)
    return n

@flow(name="bench map", task_runner=ThreadPoolTaskRunner(max_workers=16))
def bench_map(count: int) -> float:
    started = time.perf_counter()
    assert sum(nothing.map(range(count)).result()) == count * (count - 1) // 2
    return time.perf_counter() - started

async def gaps(stop: asyncio.Event) -> list[float]:
    found = []
    while not stop.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        found.append(time.perf_counter() - before - 0.001)
    return found

async def beside(work, count: int) -> tuple[float, float]:
    stop = asyncio.Event()
    watch = asyncio.create_task(gaps(stop))
    await asyncio.sleep(0.01)
    started = time.perf_counter()
    await asyncio.gather(*map(work, range(count)))
    seconds = time.perf_counter() - started
    stop.set()
    return seconds, max(await watch)

@flow(name="bench awaits")
async def bench_awaits(count: int) -> dict[str, float]:
    async def plain(n: int) -> int:
        await asyncio.sleep(0.2)
        return n
    without, gap_without = await beside(plain, count)
    recorded, gap = await beside(nap, count)
    return {"plain_s": without, "plain_gap_s": gap_without, "recorded_s": recorded, "gap_s": gap}
"""


def main() -> None:
    import_s, import_mb = imported()
    with tempfile.TemporaryDirectory(prefix="perfect-bench-") as folder:
        flows = Path(folder) / "bench_sdk_flows.py"
        flows.write_text(FLOWS)
        with system(flows=flows, processes=1) as running:
            result(running.api, "bench map", 100)
            seconds = statistics.median(result(running.api, "bench map", MAPPED) for _ in range(ROUNDS))
            awaits = min(
                (result(running.api, "bench awaits", MAPPED) for _ in range(ROUNDS)),
                key=lambda one: one["gap_s"],
            )
    figures = {
        "import_s": import_s,
        "import_mb": import_mb,
        "map_tasks_per_s": MAPPED / seconds,
        "awaits_s": awaits["recorded_s"],
        "awaits_plain_s": awaits["plain_s"],
        "longest_gap_s": awaits["gap_s"],
        "longest_gap_plain_s": awaits["plain_gap_s"],
        "is_met": import_s <= GOALS["import_s"]
        and import_mb <= GOALS["import_mb"]
        and seconds <= MAPPED / GOALS["map_tasks_per_s"],
    }
    print(json.dumps({"benchmark": "sdk", **figures}))


def imported() -> tuple[float, float]:
    """Seconds that the import alone takes, and the memory of the process afterwards."""
    code = (
        "import time; a = time.perf_counter(); import perfect_sdk; b = time.perf_counter(); import resource; "
        "print(b - a, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    rounds = []
    for _ in range(ROUNDS):
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True, check=True
        )
        seconds, mb = map(float, done.stdout.split())
        rounds.append((seconds, mb))
    return statistics.median(one for one, _ in rounds), statistics.median(one for _, one in rounds)


def result(api: Api, flow: str, count: int) -> "float | dict[str, float]":
    run = api.wait(api.trigger(flow, count=count))
    if run["state"] != "COMPLETED":
        raise RuntimeError(f"{flow}: {run['state']} {run['error']}")
    return run["result"]


if __name__ == "__main__":
    main()
