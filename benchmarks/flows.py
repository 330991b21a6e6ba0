"""Flows whose own work is nothing, so that what is measured is Perfect."""

import os
import time
from pathlib import Path

from perfect_sdk import flow, get_run_logger, task


@task
def nothing(n: int) -> int:
    return n


@flow(name="bench first line")
def first_line() -> int:
    return time.time_ns()


@flow(name="bench sequential tasks")
def sequential_tasks(count: int = 1000) -> int:
    total = 0
    for n in range(count):
        total += nothing(n)
    return total


@flow(name="bench five tasks")
def five_tasks() -> int:
    return sum(nothing(n) for n in range(5))


@flow(name="bench fan out")
def fan_out(count: int = 1000) -> int:
    return sum(future.result() for future in nothing.map(range(count)))


@flow(name="bench log lines")
def log_lines(count: int = 10_000) -> int:
    logger = get_run_logger()
    for n in range(count):
        logger.info("line %d", n)
    return count


@task
def step(path: str, n: int) -> None:
    with Path(path).open("a") as said:
        said.write(f"{n} {os.getpid()} {time.time_ns()}\n")
    time.sleep(0.01)


@flow(name="bench steps")
def steps(path: str, count: int) -> None:
    for n in range(count):
        step(path, n)
