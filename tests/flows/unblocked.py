"""An async flow that uses all of the SDK, and says where its event loop stood still.

`python unblocked.py LIMIT_S`: says "ready", and goes on when a line is written to it. Prints, as JSON, step → what
asyncio's debug mode says of callbacks that took longer than the limit.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable

from perfect_sdk import flow, get_run_logger, run_deployment, sleep, tags, task
from perfect_sdk.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from perfect_sdk.blocks.system import Secret
from perfect_sdk.cache_policies import INPUTS
from perfect_sdk.concurrency.asyncio import concurrency, rate_limit
from perfect_sdk.transactions import transaction
from perfect_sdk.variables import Variable

MANY = 1000
LARGE = "x" * 400_000


@task
async def double(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


@task
def sync_double(n: int) -> int:
    return 2 * n


@task(cache_policy=INPUTS)
async def cached(n: int) -> int:
    return n


@task
async def large() -> str:
    return LARGE


@task(retries=1, retry_delay_seconds=0.01)
async def fails_once(seen: list[int]) -> str:
    seen.append(1)
    if len(seen) < 2:
        raise ValueError("once more")
    return "done"


@flow
async def child(n: int) -> int:
    return await double(n)


async def many() -> None:
    found = await asyncio.gather(*(double(n) for n in range(MANY)))
    assert found == [2 * n for n in range(MANY)]


async def submitted() -> None:
    futures = [double.submit(n) for n in range(20)]
    assert [await future for future in futures] == [2 * n for n in range(20)]
    assert await sync_double.submit(3) == 6


async def bars() -> None:
    bar = await create_progress_artifact(0)
    for n in range(100):
        await update_progress_artifact(bar, n)
    await create_markdown_artifact(LARGE)
    await create_table_artifact([{"n": n} for n in range(100)])


async def kept_values() -> None:
    await Variable.set("unblocked", {"n": 1}, overwrite=True)
    assert await Variable.get("unblocked") == {"n": 1}
    assert await Variable.unset("unblocked")
    await Secret("sesame").save("unblocked", overwrite=True)
    assert (await Secret.load("unblocked")).get() == "sesame"


async def limits() -> None:
    async with concurrency("unblocked", 1):
        await rate_limit("unblocked-rate")


async def logged() -> None:
    with tags("a"):
        for n in range(200):
            get_run_logger().info("line %s", n)
        print("printed")


async def cached_twice() -> None:
    assert [await cached(1), await cached(1)] == [1, 1]


async def in_transaction() -> None:
    async with transaction(key="unblocked"):
        await double(1)


async def deployed() -> None:
    await run_deployment("unblocked", {"limit_s": 1}, timeout=0)  # nobody serves it: it waits


STEPS: dict[str, Callable[[], Awaitable[object]]] = {
    "many awaits": many,
    "submit": submitted,
    "artifacts": bars,
    "variables and secrets": kept_values,
    "limits": limits,
    "logs and prints": logged,
    "cache": cached_twice,
    "large result": large,
    "retry": lambda: fails_once([]),
    "child flow": lambda: child(4),
    "transaction": in_transaction,
    "run_deployment": deployed,
    "sleep": lambda: sleep(0.01),  # type: ignore[dict-item,return-value]
}
said: dict[str, list[str]] = {}


class Slow(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "Executing" in record.msg:
            self.found.append(record.getMessage())


async def watched(name: str, made: Callable[[], Awaitable[object]]) -> None:
    handler = Slow()
    logging.getLogger("asyncio").addHandler(handler)
    try:
        await made()
        await asyncio.sleep(0)  # so that the callback that ended it is judged, too
    finally:
        logging.getLogger("asyncio").removeHandler(handler)
    said[name] = handler.found


@flow
async def unblocked(limit_s: float) -> None:
    print("ready", file=sys.stderr, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = limit_s
    for name, made in STEPS.items():
        await watched(name, made)


async def main() -> None:
    async def blocks() -> None:
        time.sleep(1.5 * float(sys.argv[1]))

    await watched("end", lambda: unblocked(float(sys.argv[1])))
    await watched("blocks", lambda: asyncio.create_task(blocks()))
    print(json.dumps(said))


if __name__ == "__main__":
    asyncio.run(main())
