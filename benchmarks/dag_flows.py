"""A flow for each execution of a workflow, as somebody would write it: a submitted task for each step, which waits for its
parents and then sleeps as long as the step ran, times a scale.

What to make is in the environment: DAG_FILES (JSON, paths of WfFormat 1.5), DAG_SCALE, DAG_CONCURRENCY (how many tasks
may run at a time; 0: as many as the SDK's default lets), DAG_STYLE ("threads" or "asyncio").
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

from dag import Dag

from perfect_sdk import Flow, ThreadPoolTaskRunner, flow, task
from perfect_sdk.futures import wait

SCALE = float(os.environ.get("DAG_SCALE", "0.01"))
RUNNER = ThreadPoolTaskRunner(max_workers=int(os.environ.get("DAG_CONCURRENCY", "0")) or None)


def nap(seconds: float) -> None:
    time.sleep(seconds)


async def nap_async(seconds: float) -> None:
    await asyncio.sleep(seconds)


def flow_of(dag: Dag, *, style: str) -> Flow[..., Any]:
    tasks = {
        kind: task(
            nap_async if style == "asyncio" else nap,
            name=kind,
            weight=max(mean_s, 0.001),
            estimated_time=max(round(mean_s * SCALE * 1000), 1),
        )
        for kind, mean_s in dag.kinds.items()
    }

    def submit_all() -> list[Any]:
        futures: dict[str, Any] = {}
        for step in dag.steps:
            parents = [futures[parent] for parent in step.parents]
            futures[step.id] = tasks[step.kind].submit(step.seconds * SCALE, wait_for=parents)
        return list(futures.values())

    if style == "asyncio":

        @flow(name=dag.name, task_runner=RUNNER)
        async def replayed() -> int:
            futures = submit_all()
            for future in futures:
                await future
            return len(futures)

        return replayed

    @flow(name=dag.name, task_runner=RUNNER)
    def replayed_in_threads() -> int:
        futures = submit_all()
        wait(futures)
        return len(futures)

    return replayed_in_threads


FLOWS = [
    flow_of(Dag.load(Path(file)), style=os.environ.get("DAG_STYLE", "threads"))
    for file in json.loads(os.environ.get("DAG_FILES", "[]"))
]
for made in FLOWS:
    globals()[f"flow_{FLOWS.index(made)}"] = made
