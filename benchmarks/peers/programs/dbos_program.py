"""Runs in the environment of DBOS: the benchmark's workflows, and on each line of its input one thing to do, as JSON.

{"do": "sequential", "count": 1000}  →  {"value": 2.7}
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from dbos import DBOS, Queue

LOOK_S = 0.02  # between two looks whether a run has ended

config = {
    "name": "bench",
    "system_database_url": os.environ["BENCH_DATABASE"],
    "application_version": "bench",
    "log_level": "ERROR",
}


@DBOS.step()
def nothing(n: int) -> int:
    return n


@DBOS.step()
def step(said: str, n: int) -> None:
    with Path(said).open("a") as file:
        file.write(f"{n} {os.getpid()} {time.time_ns()}\n")
    time.sleep(0.01)


@DBOS.workflow()
def sequential(count: int) -> int:
    return sum(nothing(n) for n in range(count))


@DBOS.workflow()
async def fan_out(count: int) -> int:
    import asyncio

    return sum(await asyncio.gather(*(nothing_async(n) for n in range(count))))


@DBOS.step()
async def nothing_async(n: int) -> int:
    return n


@DBOS.workflow()
def first_line() -> int:
    return time.time_ns()


@DBOS.workflow()
def steps(said: str, count: int) -> None:
    for n in range(count):
        step(said, n)


queues: dict[str, Queue] = {}


def do(asked: dict[str, Any]) -> Any:
    count = asked.get("count", 0)
    begin = time.monotonic()
    match asked["do"]:
        case "ready":
            return True
        case "open":
            queue, every_s = asked["queue"], asked["every_s"]
            queues[queue] = DBOS.register_queue(queue, worker_concurrency=20, polling_interval_sec=every_s)
            return True
        case "rest":  # it hardly polls any more
            queues.pop(asked["queue"]).set_polling_interval_sec(60)
            return True
        case "sequential":
            right = sequential(count) == sum(range(count))
        case "fan_out":
            import asyncio

            right = asyncio.run(fan_out(count)) == sum(range(count))
        case "many_runs":
            handles = [DBOS.enqueue_workflow(asked["queue"], sequential, 5) for _ in range(count)]
            right = all(handle.get_result(polling_interval_sec=LOOK_S) == 10 for handle in handles)
        case "first_line":
            took_ms = []
            for _ in range(count):
                before = time.time_ns()
                took_ms.append((DBOS.start_workflow(first_line).get_result() - before) / 1e6)
                time.sleep(0.05)
            return took_ms
        case "steps":
            DBOS.start_workflow(steps, asked["said"], count)
            return True
        case other:
            raise ValueError(f"nobody knows {other}")
    if not right:
        raise RuntimeError(f"{asked['do']} gave a wrong result")
    return time.monotonic() - begin


def main() -> None:
    DBOS(config=config)
    DBOS.launch()
    DBOS.register_queue("bench", worker_concurrency=20)
    for line in sys.stdin:
        print(json.dumps({"value": do(json.loads(line))}), flush=True)
    DBOS.destroy()


if __name__ == "__main__":
    main()
