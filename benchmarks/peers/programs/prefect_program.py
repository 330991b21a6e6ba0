"""Runs in Prefect's environment: the benchmark's flows, served. They write the instants of their code to a file."""

import os
import time
from pathlib import Path

from prefect import flow, get_run_logger, serve, task


@task
def nothing(n: int) -> int:
    return n


@task
def step(said: str, n: int) -> None:
    _say(said, f"{n} {os.getpid()} {time.time_ns()}")
    time.sleep(0.01)


@flow(name="sequential")
def sequential(said: str, count: int) -> None:
    _say(said, str(time.time_ns()))
    for n in range(count):
        nothing(n)
    _say(said, str(time.time_ns()))


@flow(name="fan-out")
def fan_out(said: str, count: int) -> None:
    _say(said, str(time.time_ns()))
    nothing.map(range(count)).wait()
    _say(said, str(time.time_ns()))


@flow(name="five")
def five(said: str, count: int) -> None:
    _say(said, str(time.time_ns()))
    for n in range(count):
        nothing(n)


@flow(name="lines")
def lines(said: str, count: int) -> None:
    logger = get_run_logger()
    _say(said, str(time.time_ns()))
    for n in range(count):
        logger.info("line %d", n)


@flow(name="steps")
def steps(said: str, count: int) -> None:
    for n in range(count):
        step(said, n)


def _say(said: str, line: str) -> None:
    with Path(said).open("a") as file:
        file.write(f"{line}\n")


if __name__ == "__main__":
    flows = [sequential, fan_out, five, lines, steps]
    serve(*(one.to_deployment(name="bench") for one in flows), limit=20)
