"""How fast the projector takes events in: one JSON line.

`events_per_s`: a stream that is full when the real service starts, until everything is committed (every projection,
log lines as well). `commit_lag_p95_ms`: at 5,000 events/s, from when the server stored the oldest message of a batch
to its commit. `visible_ms`: from the acknowledgement of the last event of a run of 1,000 tasks to the answer
that shows its end.

    python benchmarks/projector.py [events]
"""

import asyncio
import contextlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import shapes
import structlog
from traffic import traffic

from perfect_bus import Bus
from perfect_bus.connection import Connection
from perfect_bus.settings import Settings
from perfect_projector.service import ProjectorService
from perfect_runtime.natsd import NatsServer
from perfect_runtime.service import Context
from perfect_schemas import queries, subjects
from perfect_schemas.envelope import utc_now

EVENTS_PER_S = 5000
STEADY_S = 4
FILLED_RUNS = 20_000_000  # numbers of the runs that are said before anything is measured


async def say(bus: Bus, number: int, tasks: int) -> str:
    at = utc_now()
    for one in shapes.encoded(shapes.run(number, at, tasks=tasks, lines=tasks // 2)):
        bus.outbox.put(*one)
        await bus.outbox.room()
    await bus.outbox.flush()
    return shapes.run_id(number, at)


async def steady(connection: Connection, service: ProjectorService) -> list[float]:
    """The commit lags, in ms, of STEADY_S seconds at EVENTS_PER_S, which another process says."""
    lags: list[float] = []
    with contextlib.ExitStack() as stack:
        await asyncio.to_thread(stack.enter_context, traffic(connection, EVENTS_PER_S))
        begin, seen = time.perf_counter(), 0.0
        while time.perf_counter() - begin < STEADY_S:
            figures = service.metrics()
            if figures["batches_total"] != seen:
                seen = figures["batches_total"]
                lags.append(figures["last_batch_lag_ms"])
            await asyncio.sleep(0.005)
        await asyncio.to_thread(stack.close)
    return sorted(lags)


async def main(events: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder) / "data")
        server = NatsServer(settings)
        server.start()
        bus = await Bus.connect(server.connection, name="benchmark")
        await bus.ensure_streams()
        for subject, data, event_id in shapes.encoded(shapes.definitions(utc_now())):
            bus.outbox.put(subject, data, event_id)
        number = FILLED_RUNS
        while (await bus.js.stream_info("EVENTS")).state.messages < events:
            number += 1
            await say(bus, number, 100)
        ends = {name: (await bus.js.stream_info(name)).state.last_seq for name in ("EVENTS", "LOGS")}

        context = Context(
            bus=await Bus.connect(server.connection, name="projector"),
            settings=settings,
            log=structlog.get_logger(),
        )
        service = ProjectorService(context)
        begin, cpu = time.perf_counter(), time.process_time()
        await service.start()
        while any(service.committed[name] < end for name, end in ends.items()):
            if context.failure.done():
                context.failure.result()
            await asyncio.sleep(0.005)
        took, cpu = time.perf_counter() - begin, time.process_time() - cpu

        lags = await steady(server.connection, service)
        visible = []
        for n in range(5):
            run_id = await say(bus, number + 1 + n, 1000)
            begin = time.perf_counter()
            while True:
                reply = await bus.ask(subjects.query("runs"), queries.RunPage(ids=[run_id]))
                found = msgspec.json.decode(reply.value, type=queries.Runs).runs
                if found and found[0].state in ("COMPLETED", "FAILED"):
                    break
            visible.append((time.perf_counter() - begin) * 1000)
        begin = time.perf_counter()
        reply = await bus.ask(subjects.query("task_runs"), queries.TaskRunPage(run_id=run_id))
        page_ms = (time.perf_counter() - begin) * 1000
        assert len(msgspec.json.decode(reply.value, type=queries.TaskRuns).task_runs) == 1000
        listing = []
        for _ in range(20):
            begin = time.perf_counter()
            reply = await bus.ask(subjects.query("runs"), queries.RunPage(limit=50))
            listing.append((time.perf_counter() - begin) * 1000)
        report = msgspec.json.decode(
            (await bus.ask(subjects.query("integrity"), queries.Integrity(), timeout_s=30)).value,
            type=queries.IntegrityReport,
        )
        bad = [check.name for check in report.checks if not check.ok]
        await service.stop()
        await context.bus.close()
        await bus.close()
        server.stop()
    print(
        json.dumps(
            {
                "benchmark": "projector",
                "events": sum(ends.values()),
                "events_per_s": round(sum(ends.values()) / took),
                "cpu_us_per_event": round(cpu / sum(ends.values()) * 1e6, 1),
                "commit_lag_p50_ms": round(lags[len(lags) // 2]),
                "commit_lag_p95_ms": round(lags[int(len(lags) * 0.95)]),
                "visible_ms": [round(ms) for ms in sorted(visible)],
                "page_of_1000_tasks_ms": round(page_ms, 1),
                "run_list_p50_ms": round(sorted(listing)[10], 1),
                "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "integrity": bad or "ok",
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))
