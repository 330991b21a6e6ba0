"""The stream of events that the gateway has for programs: each comes once, whatever breaks."""

import asyncio

import httpx
import pytest
from eventually import eventually
from said_runs import Runs
from streamed import listen

from perfect_bus import Bus
from perfect_gateway.service import GatewayService
from perfect_runtime.natsd import NatsServer
from perfect_schemas import subjects


@pytest.fixture
def runs(bus: Bus) -> Runs:
    return Runs(bus)


async def test_events_come_as_they_are(gateway: GatewayService, runs: Runs) -> None:
    async with listen(gateway, "/api/events") as stream:
        run_id = await runs.start()
        await runs.task(run_id, 0)
        await runs.log(run_id, "hello")
        said = await stream.said(6)
        assert [event["type"] for event in said] == [
            "run.scheduled", "run.queued", "run.started", "task.started", "task.completed", "log.written",
        ]  # fmt: skip
        assert stream.seen[-1].id == "5.1"


async def test_resuming_leaves_no_gap(gateway: GatewayService, runs: Runs, nats_server: NatsServer) -> None:
    """Through breaks of the connection and a kill of nats-server, each event comes exactly once, in order."""
    run_id = await runs.start()
    total = 300

    async def speak() -> None:
        for n in range(total):
            await runs.log(run_id, f"line {n}")
            if n % 3 == 0:
                await runs.task(run_id, n, end=False)
            if n == 150:
                nats_server.kill()
                await asyncio.sleep(0.1)
                nats_server.start()

    speaking = asyncio.create_task(speak())
    lines: list[str] = []
    tasks: list[str] = []
    last: str | None = "0.0"
    async with asyncio.timeout(120):
        while len(lines) < total or len(tasks) < total / 3:
            try:
                async with listen(gateway, "/api/events?definitions=false", last) as stream:
                    for _ in range(90):
                        event = (await stream.said(1))[0]
                        last = stream.seen[-1].id
                        if event["type"] == "log.written":
                            lines.append(event["lines"][0]["message"])
                        elif event["type"] == "task.started":
                            tasks.append(event["task_key"])
                        if len(lines) == total and len(tasks) == total / 3:
                            break
            except (AssertionError, EOFError, httpx.HTTPError):
                await asyncio.sleep(0.05)  # 503 while NATS is away
    await speaking
    assert lines == [f"line {n}" for n in range(total)]
    assert tasks == [f"step-{n}" for n in range(0, total, 3)]


async def test_one_run_only(gateway: GatewayService, runs: Runs) -> None:
    one, other = await runs.start(), await runs.start()
    async with listen(gateway, f"/api/events?run_id={one}&after=0.0&logs=false") as stream:
        await runs.log(one, "not wanted")
        await runs.complete(other)
        await runs.complete(one)
        said = await stream.said(4)
    assert {event["run_id"] for event in said} == {one}
    assert said[-1]["type"] == "run.completed"


async def test_what_is_purged_is_said(gateway: GatewayService, runs: Runs, bus: Bus) -> None:
    old, new = await runs.start(), await runs.start()
    await bus.js.purge_stream("EVENTS", subject=subjects.run(old))
    async with listen(gateway, "/api/events", "0.0") as stream:
        await stream.next(lambda message: message.event == "resync")
        assert [event["run_id"] for event in await stream.said(3)] == [new] * 3
    async with listen(gateway, "/api/events", "999.0") as stream:
        await stream.next(lambda message: message.event == "resync")
        await runs.complete(new)
        assert (await stream.said(1))[0]["type"] == "run.completed"


async def test_a_slow_reader_loses_nothing(gateway: GatewayService, runs: Runs) -> None:
    """Its queue is dropped when it is full; what it missed comes from the streams."""
    run_id = await runs.start()
    async with listen(gateway, "/api/events", "0.0", small=True) as stream:
        assert len(await stream.said(3)) == 3
        reader = next(iter(gateway.hub.feed.readers))
        await eventually(lambda: reader.listening)
        for n in range(1000):
            await runs.log(run_id, f"{n} {'x' * 20_000}")
        assert reader.queue.overflowed
        said = await stream.said(1000)
    lines = [event["lines"][0]["message"] for event in said]
    assert [line.partition(" ")[0] for line in lines] == [str(n) for n in range(1000)]
