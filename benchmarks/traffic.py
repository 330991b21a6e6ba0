"""Events that come in at a steady pace, said by a process of its own so that it takes no time from what is measured."""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Iterator
from typing import Any

import shapes

from perfect_bus import Bus
from perfect_bus.connection import Connection
from perfect_schemas.envelope import utc_now

FIRST_RUN = 10_000_000  # beyond every run that a benchmark has made before
TICK_S = 0.005


@contextlib.contextmanager
def traffic(connection: Connection, events_per_s: int, *, at_least: float = 0.9) -> Iterator[None]:
    """Inside, runs of five tasks are said at `events_per_s`, log messages included.

    at_least: the share of them without which it counts as a failure.
    """
    context = multiprocessing.get_context("spawn")
    started, over = context.Event(), context.Event()
    process = context.Process(
        target=_talk, args=(connection, events_per_s, at_least, started, over), daemon=True
    )
    process.start()
    try:
        if not started.wait(30):
            raise TimeoutError("the process that makes events did not start within 30 s")
        yield
    finally:
        over.set()
        process.join(30)
    if process.exitcode != 0:
        raise RuntimeError(f"the process that makes events ended with {process.exitcode}")


def _talk(connection: Connection, events_per_s: int, at_least: float, started: Any, over: Any) -> None:
    asyncio.run(_say(connection, events_per_s, at_least, started, over))


async def _say(connection: Connection, events_per_s: int, at_least: float, started: Any, over: Any) -> None:
    bus = await Bus.connect(connection, name="benchmark traffic")
    begin, said, number = time.perf_counter(), 0, FIRST_RUN
    events = shapes.encoded(iter(()))
    started.set()
    while not over.is_set():
        due = int((time.perf_counter() - begin) * events_per_s)
        while said < due:
            one = next(events, None)
            if one is None:
                number += 1
                events = shapes.encoded(shapes.run(number, utc_now()))
                continue
            bus.outbox.put(*one)
            said += 1
        await bus.outbox.room()
        await asyncio.sleep(TICK_S)
    for one in events:  # a run that has begun ends
        bus.outbox.put(*one)
    await bus.outbox.flush()
    await bus.close()
    if said < at_least * (time.perf_counter() - begin) * events_per_s:
        raise RuntimeError(
            f"only {said} events were said: the machine is too busy for {events_per_s} a second"
        )
