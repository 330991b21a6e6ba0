"""Flows for retries, timeouts and cancellation on a worker. Bodies leave a line in a file each time they run."""

import asyncio
import os
import time
from typing import Any

from perfect_sdk import exponential_backoff, flow, run_deployment, task


def trace(path: str, text: object) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


def worth_it(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.data, OSError)


@task(retries=3, retry_delay_seconds=exponential_backoff(0.05), retry_jitter_factor=0.5)
def flaky(path: str, good: int) -> float:
    trace(path, "flaky")
    if sum(1 for line in open(path) if line == "flaky\n") < good:  # noqa: SIM115
        raise OSError("again")
    return time.time()


@task(retries=5, retry_condition_fn=worth_it)
def choosy(path: str, n: int) -> None:
    trace(path, f"choosy {n}")
    if n == 0:
        raise ValueError("not worth it")


@flow
def retried_tasks(path: str) -> str:
    flaky(path, 3)
    try:
        choosy(path, 0)
    except ValueError as error:
        return str(error)
    return "?"


@flow(retries=2, retry_delay_seconds=[0.05, 0.2])
def retried_flow(path: str) -> int:
    kept(path)
    tried(path)
    count = sum(1 for line in open(path) if line == "tried\n")  # noqa: SIM115
    if count < 3:
        raise OSError(f"try {count}")
    return count


@task
def kept(path: str) -> None:
    trace(path, "kept")


@task(persist_result=False)
def tried(path: str) -> None:
    trace(path, "tried")


@task(timeout_seconds=0.1, retries=1)
async def slow_task(path: str) -> None:
    trace(path, "slow")
    await asyncio.sleep(30)


@flow
async def task_times_out(path: str) -> str:
    try:
        await slow_task(path)
    except TimeoutError as error:
        return type(error).__name__
    return "?"


@flow(timeout_seconds=0.2)
async def flow_times_out() -> None:
    await asyncio.sleep(30)


@flow(timeout_seconds=0.2)
def sync_flow_times_out(path: str) -> None:
    for _ in range(100):
        kept(path)
        time.sleep(0.02)  # stands for work


@task
async def patient_task(path: str, name: str) -> None:
    trace(path, f"{name} waits")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        trace(path, f"{name} stopped {time.time()}")
        raise


@flow
async def patient(path: str, name: str = "patient") -> None:
    await asyncio.gather(patient_task(path, name), patient_task(path, name))


@flow
async def nested_patient(path: str) -> None:
    await asyncio.gather(patient(path, "one"), patient(path, "two"))


@flow
def deployed_patient(path: str) -> None:
    run_deployment("patient", {"path": path, "name": "deployed"})


@flow
def busy(path: str) -> None:
    while True:
        busy_inner(path)


@flow
def busy_inner(path: str) -> None:
    for _ in range(1000):
        unit(path)


@task
def unit(path: str) -> None:
    trace(path, "unit")
    time.sleep(0.01)  # stands for work


@flow
def submitting(path: str) -> None:
    for future in [unit_long.submit(path) for _ in range(4)]:
        future.result()


@task
def unit_long(path: str) -> None:
    trace(path, "long")
    time.sleep(0.3)  # stands for work


@flow
async def swallows(path: str) -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            trace(path, "swallowed")
