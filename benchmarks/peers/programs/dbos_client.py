"""Runs in the environment of DBOS, as another process than the one that runs the workflows: on each line of its input one
thing to do, as JSON, on each of its output what came of it.

{"do": "first_line", "queue": "bench", "pauses_s": [0.5]}  →  {"value": [3.4]}
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dbos import DBOSClient

LOOK_S = 0.2  # between two looks whether a run has ended
WRITERS = 8
READS = 60


def do(asked: dict[str, Any]) -> Any:
    match asked["do"]:
        case "first_line":
            return [first_line_ms(asked["queue"], pause_s) for pause_s in asked["pauses_s"]]
        case "write":
            return refused(asked["queue"], asked["count"])
        case "list":
            return [list_ms() for _ in range(READS)]
        case other:
            raise ValueError(f"nobody knows {other}")


def first_line_ms(queue: str, pause_s: float) -> float:
    time.sleep(pause_s)
    before = time.time_ns()
    return (enqueue(client, queue).get_result(polling_interval_sec=LOOK_S) - before) / 1e6


def refused(queue: str, count: int) -> int:
    """By WRITERS at once, each with a client of its own; whatever raises was refused."""

    def write(_: int) -> int:
        own, refused = connect(), 0
        for _ in range(count // WRITERS):
            try:
                enqueue(own, queue)
            except Exception as error:
                print(f"refused: {error!r}", file=sys.stderr)
                refused += 1
        own.destroy()
        return refused

    with ThreadPoolExecutor(WRITERS) as writers:
        return sum(writers.map(write, range(WRITERS)))


def list_ms() -> float:
    before = time.perf_counter()
    client.list_workflows(limit=50, sort_desc=True)
    return (time.perf_counter() - before) * 1000


def enqueue(by: DBOSClient, queue: str) -> Any:
    return by.enqueue({"workflow_name": "first_line", "queue_name": queue})


def connect() -> DBOSClient:
    return DBOSClient(system_database_url=os.environ["BENCH_DATABASE"], application_name="bench")


if __name__ == "__main__":
    client = connect()
    for line in sys.stdin:
        print(json.dumps({"value": do(json.loads(line))}), flush=True)
    client.destroy()
