"""Tasks that are delayed, and flows that delay them. The worker has no word of them until somebody does."""

import os
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from perfect_sdk import flow, task


@dataclass
class Order:
    number: int
    due: date


def _said(folder: str, text: str) -> int:
    """How often it has been said, with this time."""
    with (Path(folder) / "said").open("a") as out:
        out.write(f"{text} {os.getpid()}\n")
    return sum(line.startswith(f"{text} ") for line in (Path(folder) / "said").read_text().splitlines())


@task(tags=["mail"], task_run_name="greet {name}")
def greet(name: str, times: int = 1) -> str:
    return f"hello {name}" * times


@task
def due(order: Order) -> date:
    return order.due


@task(retries=2)
def flaky(folder: str) -> int:
    tries = _said(folder, "flaky")
    if tries < 3:
        raise ValueError(f"try {tries}")
    return tries


@task
def broken(n: int) -> int:
    raise KeyError(n)


@task
def patient(folder: str) -> str:
    """Ends when the file `go` is there."""
    _said(folder, "patient")
    while not (Path(folder) / "go").exists():
        time.sleep(0.01)
    return "done"


@task
async def joined(*parts: str, **more: str) -> str:
    return ",".join([*parts, *(f"{name}={value}" for name, value in more.items())])


@task
def total(numbers: list[int]) -> int:
    return sum(numbers)


@task
def unkept() -> object:
    return object()


@task
def large(n: int) -> str:
    return "x" * n


@flow
def ordered(name: str) -> list[str]:
    """Waits for what it has delayed, with one place on the worker for both."""
    futures = [greet.delay(name), greet.delay(f"{name}!")]
    return [future.result() for future in futures]


@flow
async def ordered_async(name: str) -> str:
    return await greet.delay(name)


@flow
def delays_once(folder: str) -> str:
    future = greet.delay("once")
    patient(folder)
    return future.flow_run_id
