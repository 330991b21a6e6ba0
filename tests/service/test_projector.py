"""The projector against a real nats-server: what it answers is compared with a fold of the streams."""

import asyncio
import random
import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import duckdb
import msgspec
import pytest
import structlog

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.service import FILE, ProjectorService
from perfect_runtime.service import Context
from perfect_runtime.verify import verify
from perfect_schemas import codec, ids, queries, subjects, views
from perfect_schemas import events as e
from perfect_schemas.envelope import ErrorInfo, StoredValue
from perfect_schemas.errors import InvalidInput, NotFound
from perfect_schemas.events.statistic import PerformanceWarned
from perfect_schemas.folds.history import History

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FLOWS = {"etl": ["extract", "transform", "load"], "train": ["fit", "score"]}


class World:
    """Says what real runs would say: seeded, with every outcome, through the outbox."""

    def __init__(self, bus: Bus, seed: int) -> None:
        self.bus = bus
        self.random = random.Random(seed)
        self.now = BEGIN
        self.runs: list[str] = []

    def tick(self, most_ms: int = 50) -> datetime:
        self.now += timedelta(microseconds=self.random.randrange(1, most_ms * 1000))
        return self.now

    def say(self, subject: str, event) -> None:
        self.bus.outbox.put(subject, codec.encode(event), event.id)

    def envelope(self, run_id: str, **more):
        return {
            "id": ids.uuid7(),
            "at": self.tick(),
            "source": "test",
            "run_id": run_id,
            "flow_version": "v1",
        } | more

    def register(self) -> None:
        for flow, names in FLOWS.items():
            flow_id = ids.flow_id(flow)
            event = e.FlowRegistered(
                id=ids.uuid7(),
                at=self.tick(),
                source="registry",
                flow_id=flow_id,
                name=flow,
                flow_version="v1",
                tags=[flow[0]],
                description="about " + flow,
                tasks=[
                    e.TaskDefinition(id=ids.task_id(flow_id, name), name=name, weight=1.0 + n, estimated_time=70)
                    for n, name in enumerate(names)
                ],
                parameters={"type": "object", "properties": {"day": {"type": "string"}}},
                schedule="0 0 * * *" if flow == "etl" else None,
            )
            self.say(subjects.flow(flow_id), event)

    def client(self) -> str:
        client_id = ids.uuid7()
        event = e.ClientConnected(
            id=ids.uuid7(), at=self.tick(), source="worker", client_id=client_id, name="w", host="h", pid=1, slots=4,
            flows=[ids.flow_id("etl")], queues=["default"], sdk_version="1",
        )  # fmt: skip
        self.say(subjects.client(client_id), event)
        return client_id

    def task(self, run_id: str, flow: str, name: str, n: int, epoch: int, client: str, *, zombie: bool = False) -> None:
        key = f"{name}-{n}"
        base = {
            "task_run_id": ids.task_run_id(run_id, key),
            "task_key": key,
            "task_id": ids.task_id(ids.flow_id(flow), name),
            "name": name,
            "ordinal": n,
            "epoch": epoch,
            "input_digest": f"{n:064x}",
        }

        def say(kind, **more) -> None:
            self.say(subjects.task(run_id), kind(**self.envelope(run_id), **(base | more)))

        if zombie:  # what it ends is refused by the guard, but what it begins is emitted without one
            say(e.TaskStarted, attempt=1, client_id=client)
            self.logs(run_id, base["task_run_id"], key)
            return
        what = self.random.random()
        if what < 0.08:
            say(e.TaskCached, cache_key="k", result=StoredValue(value=msgspec.Raw(b'"cached"'), size_bytes=8))
            return
        if what < 0.12:
            say(e.TaskSkipped, reason="not today")
            return
        say(e.TaskStarted, attempt=1, client_id=client)
        attempt = 1
        if what < 0.25:
            say(e.TaskRetrying, attempt=1, next_at=self.now, error=ErrorInfo(kind="a:E", message="once"))
            attempt = 2
            say(e.TaskStarted, attempt=2, client_id=client)
        if what < 0.3:
            say(e.TaskFailed, attempt=attempt, duration_ms=7, error=ErrorInfo(kind="a:E", message="no 'luck'"))
        elif what > 0.35:
            slow = 5000 if self.random.random() < 0.05 else 0
            result = StoredValue(value=msgspec.Raw(b'{"rows":[1,2.5,"\xc3\xa9"]}'), size_bytes=22)
            say(
                e.TaskCompleted,
                attempt=attempt,
                duration_ms=60 + self.random.randrange(20) + slow,
                result=result if what > 0.4 else None,
            )
        self.logs(run_id, base["task_run_id"], key)

    def logs(self, run_id: str, task_run_id: str | None, key: str | None) -> None:
        lines = [
            e.LogLine(
                at=self.tick(),
                level=self.random.choice([10, 20, 30, 40]),
                message=f"line {n} 100% of_{key}\x1b[31m",
                task_run_id=task_run_id,
                task_key=key,
            )
            for n in range(self.random.randrange(1, 6))
        ]
        self.say(subjects.log(run_id), e.LogBatch(**self.envelope(run_id), lines=lines))

    def run(self, client: str) -> str:
        flow = self.random.choice(list(FLOWS))
        run_id = ids.uuid7()
        self.runs.append(run_id)

        def say(kind, **more) -> None:
            self.say(subjects.run(run_id), kind(**self.envelope(run_id), **more))

        say(
            e.RunScheduled,
            flow_id=ids.flow_id(flow),
            flow_name=flow,
            parameters={"day": "2026-03-01", "n": [1, {"x": None}]},
            tags=["nightly", flow] if self.random.random() < 0.5 else [],
            configuration=self.random.choice(["development", "debug", "release"]),
            name=self.random.choice([None, "lively-otter"]),
        )
        if self.random.random() < 0.05:
            say(e.RunCancelled, reason="changed my mind")
            return run_id
        say(e.RunQueued, priority=self.random.randrange(3))
        epoch = 1
        say(e.RunStarted, epoch=epoch, client_id=client, client_name="worker-1")
        for n, name in enumerate(FLOWS[flow]):
            self.task(run_id, flow, name, n, epoch, client)
            if self.random.random() < 0.1:
                say(e.RunLost, client_id=client, reason="its lease ended")
                say(e.RunQueued)
                epoch += 1
                say(e.RunStarted, epoch=epoch, client_id=client, client_name="worker-2")
                self.task(run_id, flow, name, n, epoch, client)  # again: of its events those that are legal count
                self.task(run_id, flow, name, n, epoch - 1, client, zombie=True)
        end = self.random.random()
        if end < 0.6:
            say(e.RunCompleted, epoch=epoch, duration_ms=200 + self.random.randrange(90), result=StoredValue())
        elif end < 0.75:
            say(e.RunFailed, epoch=epoch, duration_ms=150, error=ErrorInfo(kind="b:F", message="bad", args=msgspec.Raw(b"[1]")))
            if end < 0.68:
                say(e.RunRetried, by="me")
                say(e.RunQueued)
                say(e.RunStarted, epoch=epoch + 1, client_id=client, client_name="worker-3")
                say(e.RunCompleted, epoch=epoch + 1, duration_ms=99)
        elif end < 0.85:
            say(e.RunCancelling, by="me")
            say(e.RunCancelled)
        elif end < 0.9:
            say(e.RunSuspended, waits_for="sleep", wake_at=self.now + timedelta(hours=1))
        elif end < 0.95:
            say(e.RunCrashed, reason="out of memory")
        return run_id


class Running:
    """A projector in this process, on a connection of its own."""

    def __init__(self, service: ProjectorService, context: Context) -> None:
        self.service = service
        self.context = context

    async def caught_up(self, bus: Bus) -> None:
        """Until the file covers what the streams hold, warnings said on the way included."""
        while True:
            ends = {name: (await bus.js.stream_info(name)).state.last_seq for name in ("DEFS", "EVENTS", "LOGS")}
            if all(self.service.committed.get(name, 0) >= end for name, end in ends.items()):
                return
            if self.context.failure.done():
                self.context.failure.result()
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        await self.service.stop()
        await self.context.cancel_spawned()


@pytest.fixture
async def start(settings: Settings, make_bus):
    running: list[Running] = []

    async def start(settings: Settings = settings) -> Running:
        context = Context(bus=await make_bus("projector"), settings=settings, log=structlog.get_logger())
        service = ProjectorService(context)
        running.append(Running(service, context))
        await service.start()
        return running[-1]

    yield start
    for one in running:
        if one.service.status != "stopping":
            await one.stop()


async def ask(bus: Bus, name: str, query, kind):
    return msgspec.json.decode((await bus.ask(subjects.query(name), query)).value, type=kind)


async def histories(bus: Bus) -> dict[str, History]:
    found: dict[str, History] = defaultdict(History)
    for seq, subject, data in await bus.read_raw("perfect.evt.>"):
        event = codec.decode(data)
        if isinstance(event, e.Event):
            found[subject.rpartition(".")[2]].apply(event, seq)
    return found


async def check_statistics(bus: Bus, truth: dict[str, History]) -> None:
    """The file's statistics against Python's own, over the completions of the stream."""
    samples: dict[str, list[int]] = defaultdict(list)
    counted = set()
    histories: dict[str, History] = defaultdict(History)
    for seq, subject, data in await bus.read_raw("perfect.evt.>"):
        event = codec.decode(data)
        if not isinstance(event, e.Event):
            continue
        history = histories[subject.rpartition(".")[2]]
        before = history.run
        changed = history.apply(event, seq)
        if isinstance(event, e.TaskCompleted) and changed and event.task_run_id not in counted:
            counted.add(event.task_run_id)
            samples[event.task_id].append(event.duration_ms)
        if isinstance(event, e.RunCompleted) and history.run is not before:
            samples[history.run.flow_id].append(event.duration_ms)
    shown = await ask(bus, "statistics", queries.Statistics(), views.StatisticsView)
    assert {s.id for s in [*shown.tasks, *shown.flows]} == set(samples)
    for statistic in [*shown.tasks, *shown.flows]:
        values = samples[statistic.id]
        assert statistic.sample_count == len(values)
        assert statistic.avg_duration_ms == pytest.approx(statistics.fmean(values), rel=1e-9)
        assert (statistic.min_duration_ms, statistic.max_duration_ms) == (min(values), max(values))
        if len(values) > 1:
            assert statistic.std_dev_ms == pytest.approx(statistics.stdev(values), rel=1e-9)
        else:
            assert statistic.std_dev_ms is None


async def test_answers_are_the_fold_of_the_streams(bus: Bus, start) -> None:
    world = World(bus, seed=7)
    projector = await start()
    world.register()
    await bus.outbox.flush()
    client = world.client()
    for _ in range(120):
        world.run(client)
    await bus.outbox.flush()
    await projector.caught_up(bus)

    report = await verify(bus)
    assert report.differences == []
    assert report.runs == 120
    truth = await histories(bus)
    await check_statistics(bus, truth)
    warnings = [event for h in truth.values() for event in h.tasks.values() if event.performance_warning]
    assert warnings, "some task is ten times slower than its history"
    assert projector.service.status == "ready"
    assert projector.service.metrics()["events_unknown_total"] == 0

    for run in (await ask(bus, "runs", queries.RunPage(limit=1000), queries.Runs)).runs:
        history = truth[run.id]
        assert run.tasks_done == sum(t.state in ("COMPLETED", "CACHED", "SKIPPED", "FAILED") for t in history.tasks.values())
        assert run.tasks_total >= len(history.tasks)
        assert (run.progress == 100) == (run.state == "COMPLETED")
        assert run.waiting_for == views.waiting_sentence(history.run)
        if run.state == "COMPLETED":
            assert run.tasks_total == len(history.tasks)
            assert run.expected_ms is not None


async def test_a_restart_in_the_middle_changes_nothing(bus: Bus, start, settings: Settings) -> None:
    world = World(bus, seed=11)
    world.register()
    client = world.client()
    for restart in range(4):
        projector = await start()
        for _ in range(25):
            world.run(client)
        await bus.outbox.flush()
        if restart % 2:
            await projector.caught_up(bus)
        if restart < 3:
            await projector.stop()
    await projector.caught_up(bus)
    report = await verify(bus)
    assert report.differences == []
    await check_statistics(bus, await histories(bus))


async def test_a_file_made_anew_is_the_same_and_says_nothing_twice(bus: Bus, start, settings: Settings) -> None:
    world = World(bus, seed=3)
    world.register()
    client = world.client()
    first = await start()
    for _ in range(60):
        world.run(client)
    await bus.outbox.flush()
    await first.caught_up(bus)
    await first.stop()
    file = settings.data_dir / FILE
    before = _rows(file)
    events = (await bus.js.stream_info("EVENTS")).state.messages
    file.unlink()

    second = await start()
    await second.caught_up(bus)
    await second.stop()
    assert (await bus.js.stream_info("EVENTS")).state.messages == events
    assert _rows(file) == before


def _rows(file) -> dict[str, list]:
    with duckdb.connect(str(file), read_only=True) as connection:
        return {
            table: connection.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall()
            for table in (
                "events", "logs", "flows", "tasks", "runs", "task_runs", "task_statistics", "flow_statistics",
                "clients",
            )
        }  # fmt: skip
