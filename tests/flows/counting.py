"""Flows whose tasks leave a trace outside of Perfect: one line in a file for every time a body runs."""

import os
import time

from perfect_sdk import flow, get_run_logger, task


@task
def leave_trace(path: str, n: int) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, f"{n}\n".encode())
    finally:
        os.close(descriptor)
    return n


@flow(name="counting")
def counting(path: str, count: int = 1000, gate: int | None = None) -> int:
    """gate: before this one it waits until there is a file PATH.open."""
    logger = get_run_logger()
    total = 0
    for n in range(count):
        while n == gate and not os.path.exists(f"{path}.open"):
            time.sleep(0.01)
        total += leave_trace(path, n)
        if n % 100 == 0:
            logger.info("reached %d", n)
    return total
