"""The projector against a real nats-server: what it answers is compared with a fold of the streams."""

import asyncio
import statistics
from collections import defaultdict

import duckdb
import msgspec
import pytest
import structlog
from said_world import World

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.service import FILE, ProjectorService
from perfect_runtime.service import Context
from perfect_runtime.verify import verify
from perfect_schemas import codec, queries, subjects, views
from perfect_schemas import events as e
from perfect_schemas.folds.history import History


class Running:
    """A projector in this process, on a connection of its own."""

    def __init__(self, service: ProjectorService, context: Context) -> None:
        self.service = service
        self.context = context

    async def caught_up(self, bus: Bus) -> None:
        """Until the file covers what the streams hold, warnings said on the way included."""
        while True:
            ends = {
                name: (await bus.js.stream_info(name)).state.last_seq for name in ("DEFS", "EVENTS", "LOGS")
            }
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
        assert run.tasks_done == sum(
            t.state in ("COMPLETED", "CACHED", "SKIPPED", "FAILED") for t in history.tasks.values()
        )
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


async def test_a_file_made_anew_is_the_same_and_says_nothing_twice(
    bus: Bus, start, settings: Settings
) -> None:
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
