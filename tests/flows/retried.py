"""Flows for the tests of what only the whole SDK on a real bus shows. Bodies leave a line in a file when they run."""

import asyncio
from pathlib import Path

from perfect_sdk import flow, get_run_logger, task


def trace(path: str, text: str) -> int:
    """Add a line; returns how often it stands there now."""
    file = Path(path)
    with file.open("a") as out:
        out.write(f"{text}\n")
    return file.read_text().split("\n").count(text)


@task
def good(path: str) -> str:
    trace(path, "good")
    return "x" * 300_000


@task
def bad(path: str) -> str:
    times = trace(path, "bad")
    if times < 3:
        raise ConnectionError(f"time {times}")
    return "at last"


@flow(retries=2, retry_delay_seconds=0.05)
def tried_again(path: str) -> str:
    size = len(good(path))
    return f"{bad(path)} {size}"


@task
async def part(n: int) -> int:
    await asyncio.sleep(0)
    return n


@flow
async def child(n: int) -> int:
    print("child", n)
    return sum(await asyncio.gather(*[part(i) for i in range(n)]))


@flow
async def parent(n: int) -> list[int]:
    get_run_logger().info("parent")
    futures = part.map(list(range(n)))
    return [await child(n), *await asyncio.gather(child(2), child(3)), *await futures]
