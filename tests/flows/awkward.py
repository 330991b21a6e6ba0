"""Flows that do what they should not."""

import os
import sys
from pathlib import Path

from perfect_sdk import flow, task

LARGE = 9 * 1024 * 1024


def trace(path: str, text: str) -> int:
    """Leave a line in a file; how many there are now."""
    with Path(path).open("a") as file:
        file.write(f"{text}\n")
    return len(Path(path).read_text().splitlines())


@task
def handle() -> object:
    return object()


@flow(name="Unstorable")
def unstorable() -> str:
    return type(handle()).__name__


@flow(name="Unstorable result")
def unstorable_result() -> object:
    return object()


@flow(name="Raises")
def raises(text: str = "out of flour") -> None:
    raise LookupError(text)


@flow(name="Leaves")
def leaves(code: int = 3) -> None:
    sys.exit(code)


@task
def vanish(path: str, times: int) -> int:
    if (count := trace(path, "vanish")) <= times:
        os._exit(1)
    return count


@flow(name="Vanishes")
def vanishes(path: str, times: int = 1) -> int:
    """Its process ends without a word, the first few times."""
    return vanish(path, times)


@task
def large(path: str) -> str:
    trace(path, "large")
    return "x" * LARGE


@task
def measure(path: str, text: str) -> int:
    if trace(path, "measure") == 2:
        os._exit(1)  # after `large` is stored: the next process reads it back
    return len(text)


@flow(name="Large")
def large_result(path: str) -> int:
    return measure(path, large(path))


@flow(name="Echo")
def echo(text: str, times: int = 1) -> int:
    return len(text) * times
