"""How fast the projector takes events in: one JSON line.

`events_per_s`: a stream that is full when the real service starts, until everything is committed (every projection,
log lines as well). `commit_lag_p95_ms`: at 5,000 events/s, from when the server stored the oldest message of a batch
to its commit. `visible_ms`: from the acknowledgement of the last event of a run of 1,000 tasks to the answer
that shows it COMPLETED.

    python benchmarks/projector.py [events]
"""

import asyncio
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import structlog

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.service import ProjectorService
from perfect_runtime.natsd import NatsServer
from perfect_runtime.service import Context
from perfect_schemas import codec, ids, queries, subjects
from perfect_schemas import events as e
from perfect_schemas.envelope import StoredValue, utc_now

FLOW = ids.flow_id("bench")
EVENTS_PER_S = 5000
STEADY_S = 4
TASKS = [ids.task_id(FLOW, f"task {n}") for n in range(10)]


def run_events(tasks: int):
    run_id, client = ids.uuid7(), ids.uuid7()

    def envelope():
        return {"id": ids.uuid7(), "at": utc_now(), "source": f"worker:{client}", "run_id": run_id}

    run, task = subjects.run(run_id), subjects.task(run_id)
    yield run, e.RunScheduled(**envelope(), flow_id=FLOW, flow_name="bench", parameters={"day": "2026-01-01"})
    yield run, e.RunQueued(**envelope())
    yield run, e.RunStarted(**envelope(), epoch=1, client_id=client, client_name="bench")
    for n in range(tasks):
        key = f"task {n % 10}-{n}"
        base = {
            "task_run_id": ids.task_run_id(run_id, key), "task_key": key, "task_id": TASKS[n % 10],
            "name": f"task {n % 10}", "ordinal": n, "epoch": 1, "attempt": 1, "input_digest": f"{n:064x}",
        }  # fmt: skip
        yield task, e.TaskStarted(**envelope(), **base)
        if n % 10 == 0:
            lines = [e.LogLine(at=utc_now(), level=20, message=f"row {n} of many", task_key=key)]
            yield subjects.log(run_id), e.LogBatch(**envelope(), lines=lines)
        result = StoredValue(value=msgspec.Raw(b'{"rows": 12}'), size_bytes=12)
        yield task, e.TaskCompleted(**envelope(), **base, duration_ms=5 + n % 3, result=result)
    yield run, e.RunCompleted(**envelope(), epoch=1, duration_ms=1000)


async def say(bus: Bus, tasks: int) -> str:
    run_id = ""
    for subject, event in run_events(tasks):
        bus.outbox.put(subject, codec.encode(event), event.id)
        run_id = event.run_id
        await bus.outbox.room()
    await bus.outbox.flush()
    return run_id


async def steady(bus: Bus, service: ProjectorService) -> list[float]:
    """The commit lags, in ms, of STEADY_S seconds at EVENTS_PER_S."""
    lags: list[float] = []
    over = asyncio.Event()

    async def watch() -> None:
        seen = 0.0
        while not over.is_set():
            figures = service.metrics()
            if figures["batches_total"] != seen:
                seen = figures["batches_total"]
                lags.append(figures["last_batch_lag_ms"])
            await asyncio.sleep(0.005)

    watching = asyncio.create_task(watch())
    begin, said = time.perf_counter(), 0
    while (now := time.perf_counter() - begin) < STEADY_S:
        while said < now * EVENTS_PER_S:
            for subject, event in run_events(5):
                bus.outbox.put(subject, codec.encode(event), event.id)
                said += 1
            await bus.outbox.room()
        await asyncio.sleep(0.002)
    await bus.outbox.flush()
    over.set()
    await watching
    return sorted(lags)


async def main(events: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder) / "data")
        server = NatsServer(settings)
        server.start()
        bus = await Bus.connect(server.connection, name="benchmark")
        await bus.ensure_streams()
        while (await bus.js.stream_info("EVENTS")).state.messages < events:
            await say(bus, 100)
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

        lags = await steady(bus, service)
        visible = []
        for _ in range(5):
            run_id = await say(bus, 1000)
            begin = time.perf_counter()
            while True:
                reply = await bus.ask(subjects.query("runs"), queries.RunPage(ids=[run_id]))
                found = msgspec.json.decode(reply.value, type=queries.Runs).runs
                if found and found[0].state == "COMPLETED":
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
