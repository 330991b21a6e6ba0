"""Flows for reports and comparisons: how long each step takes is a parameter, and some of what they say is markup."""

import time

from perfect_sdk import flow, get_run_logger, task

MARKUP = "<script>alert('report')</script>"


@task
def read(ms: int) -> int:
    time.sleep(ms / 1000)
    return ms


@task
def load(ms: int) -> int:
    get_run_logger().warning("loading <b>%d</b> \x1b[32mgreen\x1b[0m", ms)
    time.sleep(ms / 1000)
    return ms


@task(name=MARKUP)
def odd() -> str:
    return MARKUP


@task
def break_off() -> None:
    raise RuntimeError(f"broken {MARKUP}")


@flow(name="Reported", tags=["nightly", MARKUP])
def reported(
    options: dict | None = None, text: str = MARKUP, reads: int = 3, load_ms: int = 30, fails: bool = False
) -> str:
    """Reads a few times, then loads."""
    get_run_logger().info("begins with %s", text)
    for n in range(reads):
        read((options or {}).get("read_ms", 20))
        get_run_logger().info("read %d", n)
    load(load_ms)
    odd()
    if fails:
        break_off()
    return text


@task
def tiny(n: int) -> int:
    return n


@flow(name="Wide")
def wide(count: int) -> int:
    for n in range(3):
        read(15)
    values = tiny.map(list(range(count))).result()
    for n in range(1500):
        get_run_logger().info("line %d", n)
    return sum(values)
