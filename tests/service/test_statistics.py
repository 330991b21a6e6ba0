"""Statistics by parts and days, forecasts and their error, and what is said of a task that still runs."""

import asyncio
import json
import math
import statistics as python
from datetime import timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest
from eventually import eventually
from projected import ask
from said_world import World

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.rebuild import REBUILD, rebuild
from perfect_projector.service import FILE, ProjectorService
from perfect_schemas import codec, ids, queries, subjects, views
from perfect_schemas import events as e
from perfect_schemas.commands import CopyReadModel, ReadModelCopy, ReplaceReadModel
from perfect_schemas.envelope import utc_now

FLOW = ids.flow_id("paced")


async def caught_up(bus: Bus, projector: ProjectorService) -> None:
    async def is_level() -> bool:
        end = (await bus.js.stream_info("EVENTS")).state.last_seq
        return projector.committed.get("EVENTS", 0) >= end

    await eventually(is_level)


async def statistics(bus: Bus, **wanted) -> views.StatisticsView:
    return await ask(bus, "statistics", queries.Statistics(**wanted), views.StatisticsView)


def nearest(samples: list[float], share: float) -> float:
    return sorted(samples)[math.ceil(share * len(samples)) - 1]


def put(bus: Bus, subject: str, kind: type, **fields) -> None:
    event = kind(**{"id": ids.uuid7(), "at": utc_now(), "source": "test"} | fields)
    bus.outbox.put(subject, codec.encode(event), event.id)


class Paced:
    """A run of one task."""

    def __init__(self, bus: Bus, task: str = "step") -> None:
        self.bus = bus
        self.run_id = ids.uuid7()
        self.at = utc_now() - timedelta(hours=1)
        self.task = {
            "task_run_id": ids.task_run_id(self.run_id, f"{task}-0"), "task_key": f"{task}-0", "name": task,
            "task_id": ids.task_id(FLOW, task), "epoch": 1, "attempt": 1,
        }  # fmt: skip

    def say(self, kind: type, after_ms: int = 0, **fields) -> None:
        self.at += timedelta(milliseconds=after_ms)
        subject = subjects.task(self.run_id) if "task_key" in fields else subjects.run(self.run_id)
        put(self.bus, subject, kind, run_id=self.run_id, **{"at": self.at} | fields)

    def start(self, **fields) -> None:
        self.say(e.RunScheduled, flow_id=FLOW, flow_name="paced", configuration="debug")
        self.say(e.RunQueued)
        self.say(e.RunStarted, 5, epoch=1, client_id=ids.uuid7(), flow_version="v1")
        self.say(e.TaskStarted, **self.task, **fields)

    def complete(self, duration_ms: int) -> None:
        self.say(e.TaskCompleted, duration_ms, **self.task, duration_ms=duration_ms)
        self.say(e.RunCompleted, epoch=1, duration_ms=duration_ms)


async def test_parts_are_those_of_the_whole_and_survive_restarts(
    bus: Bus, settings: Settings, start_service
) -> None:
    world = World(bus, seed=3)
    world.register()
    client = world.client()
    for _ in range(3):
        projector = await start_service(ProjectorService)
        for _ in range(30):
            world.run(client)
        await bus.outbox.flush()
        await caught_up(bus, projector)
        await projector.stop()
    await start_service(ProjectorService)
    whole = await statistics(bus)
    assert len(whole.tasks) == 5
    assert len(whole.flows) == 2
    for by in ("configuration", "flow_version"):
        parts = await statistics(bus, by=by)
        for one in [*whole.tasks, *whole.flows]:
            own = [part for part in [*parts.tasks, *parts.flows] if part.id == one.id]
            assert all(getattr(part, by) is not None for part in own)
            assert sum(part.sample_count for part in own) == one.sample_count
            mean = sum(part.sample_count * part.avg_duration_ms for part in own) / one.sample_count
            assert mean == pytest.approx(one.avg_duration_ms, rel=1e-9)
            within = sum(part.m2 + part.sample_count * (part.avg_duration_ms - mean) ** 2 for part in own)
            assert within == pytest.approx(one.m2, rel=1e-9)
    [one] = (await statistics(bus, flow="etl", task="load", by="flow_version")).tasks
    assert (one.task_name, one.flow_version) == ("load", "v1")


async def test_percentiles_phases_and_the_error_of_forecasts(
    bus: Bus, settings: Settings, start_service
) -> None:
    projector = await start_service(ProjectorService)
    durations = [100 + 37 * (n * 7 % 20) for n in range(60)]
    for duration_ms in durations:
        run = Paced(bus)
        run.start()
        run.complete(duration_ms)
    interrupted = Paced(bus)
    interrupted.start()
    interrupted.say(e.RunLost, 10, client_id=ids.uuid7(), reason="gone")
    interrupted.say(e.RunQueued)
    interrupted.say(e.RunStarted, 10, epoch=2, client_id=ids.uuid7())
    interrupted.say(e.RunCompleted, 90_000, epoch=2, duration_ms=90_000)
    await bus.outbox.flush()
    await caught_up(bus, projector)

    shown = await statistics(bus, flow="paced")
    [flow], [task] = shown.flows, shown.tasks
    assert flow.sample_count == task.sample_count == len(durations)
    for one in (flow, task):
        for share, found in ((0.5, one.p50_ms), (0.95, one.p95_ms), (0.99, one.p99_ms)):
            assert found == pytest.approx(nearest(durations, share), rel=0.011)
    assert flow.queued is not None
    assert flow.launch is not None
    assert flow.queued.avg_ms == flow.launch.max_ms == 5
    [day] = (await statistics(bus, flow="paced", by="day")).flows
    assert (day.sample_count, day.day) == (len(durations), (utc_now() - timedelta(hours=1)).date())

    await projector.stop()
    with duckdb.connect(str(settings.data_dir / FILE), read_only=True) as file:
        rows = file.execute(
            "SELECT duration_ms, forecast FROM runs WHERE NOT coalesce((details->>'interrupted')::BOOLEAN, false)"
            " ORDER BY last_seq"
        ).fetchall()
    made = [(duration_ms, json.loads(forecast).get("start")) for duration_ms, forecast in rows]
    assert [forecast for _, forecast in made[:3]] == [None] * 3
    first = python.quantiles(durations[:3], n=10, method="inclusive")
    assert made[3][1] == {"p50": python.median(durations[:3]), "p90": round(first[8])}
    errors = [abs(forecast["p50"] - took) / took * 100 for took, forecast in made[3:]]
    within = [took <= forecast["p90"] for took, forecast in made[3:]]
    assert flow.forecast is not None
    assert flow.forecast.runs == len(errors)
    assert flow.forecast.median_error_percent == pytest.approx(nearest(errors, 0.5), rel=0.011)
    assert flow.forecast.within_p90_percent == pytest.approx(100 * python.fmean(within))


async def test_a_running_run_says_when_it_will_be_done(bus: Bus, start_service) -> None:
    projector = await start_service(ProjectorService)
    for duration_ms in (60_000, 61_000, 70_000):
        run = Paced(bus)
        run.start()
        run.complete(duration_ms)
    now = Paced(bus)
    now.at = utc_now()
    now.start()
    late = Paced(bus)
    late.start()  # an hour ago
    await bus.outbox.flush()
    await caught_up(bus, projector)
    found = {run.id: run for run in (await ask(bus, "runs", queries.RunPage(), queries.Runs)).runs}
    shown, over = found[now.run_id], found[late.run_id]
    assert shown.start_time is not None
    assert shown.eta_p50 == shown.start_time + timedelta(seconds=61)
    assert shown.eta_p90 == shown.start_time + timedelta(seconds=68.2)
    assert (over.eta_p50, over.eta_p90) == (None, None)
    assert over.outlook is not None
    assert {run.outlook for run in found.values() if run.state == "COMPLETED"} == {None}


async def test_a_task_that_runs_long_is_spoken_of_once(
    bus: Bus, settings: Settings, start_service, tmp_path
) -> None:
    heard: asyncio.Queue[e.PerformanceRunningLong] = asyncio.Queue()

    async def on_event(msg, _) -> None:
        event = codec.decode(msg.data)
        if isinstance(event, e.PerformanceRunningLong):
            heard.put_nowait(event)

    await bus.follow("EVENTS", on_event, after=0)
    quick = msgspec.structs.replace(settings, warn_running_ms=0, warn_min_samples=3)
    projector = await start_service(ProjectorService, settings=quick)
    for duration_ms in (100, 110, 120):
        run = Paced(bus)
        run.start()
        run.complete(duration_ms)
    rare = Paced(bus, "rare")
    rare.start()
    rare.complete(100)
    await bus.outbox.flush()
    await caught_up(bus, projector)
    unknown, long = Paced(bus, "rare"), Paced(bus)
    unknown.start(), long.start()  # an hour ago: the one has too few samples
    ended = Paced(bus)
    ended.start()
    ended.complete(110)
    await bus.outbox.flush()
    said = await asyncio.wait_for(heard.get(), 60)
    assert said.id == f"{long.task['task_run_id']}:running_long:1.1"
    assert said.message.startswith("running for 3600.")
    assert said.message.endswith("σ from 110ms avg)")
    await caught_up(bus, projector)

    async def shown() -> dict[str, str] | None:
        page = queries.TaskRunPage(run_id=long.run_id)
        return (await ask(bus, "task_runs", page, queries.TaskRuns)).task_runs[0].performance_warning

    assert await shown() == {"type": "running_long", "severity": "warning", "message": said.message}
    await projector.stop()

    for folder in (quick.data_dir, tmp_path / "anew"):  # with what it knows, and from the streams alone
        again = await start_service(
            ProjectorService, settings=msgspec.structs.replace(quick, data_dir=folder)
        )
        await caught_up(bus, again)
        other = Paced(bus)
        other.start()
        await bus.outbox.flush()
        assert (await asyncio.wait_for(heard.get(), 60)).run_id == other.run_id
        assert heard.empty()
        assert again.metrics()["running_long_total"] == 1
        await again.stop()

    last = await start_service(ProjectorService, settings=quick)
    long.at = utc_now()
    long.say(e.TaskCompleted, **long.task, duration_ms=110)
    await bus.outbox.flush()
    await caught_up(bus, last)
    assert await shown() is None


async def test_after_the_tables_were_replaced_it_warns_as_before(
    bus: Bus, settings: Settings, start_service
) -> None:
    heard: asyncio.Queue[e.Event] = asyncio.Queue()

    async def on_event(msg, _) -> None:
        event = codec.decode(msg.data)
        if isinstance(event, e.PerformanceWarned | e.PerformanceRunningLong):
            heard.put_nowait(event)

    await bus.follow("EVENTS", on_event, after=0)
    own = msgspec.structs.replace(
        settings,
        warn_min_samples=3, warn_running_ms=0, warn_delta_ms=1e9, warn_times=1e9, warn_times_critical=1e9,
    )  # fmt: skip
    await start_service(ProjectorService, settings=own)
    copied = await bus.ask(subjects.command("projector", "copy"), CopyReadModel(copy_id=ids.uuid7()))
    copy = Path(msgspec.json.decode(copied.value, type=ReadModelCopy).file)
    scratch = own.data_dir / REBUILD / "rebuilt.duckdb"
    scratch.parent.mkdir()
    assert rebuild(copy, scratch).is_equal
    await bus.ask(subjects.command("projector", "replace"), ReplaceReadModel(file=str(scratch)))

    for duration_ms in (100, 110, 990, 120):  # the third would be critical by the defaults
        run = Paced(bus)
        run.start()
        run.complete(duration_ms)
    long = Paced(bus)
    long.start()
    await bus.outbox.flush()
    said = await asyncio.wait_for(heard.get(), 60)
    assert (type(said), said.run_id) == (e.PerformanceRunningLong, long.run_id)
