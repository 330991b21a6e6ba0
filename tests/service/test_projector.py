"""The projector against a real nats-server: what it answers is compared with a fold of the streams."""

import asyncio
import sys

import duckdb
import pytest
import structlog
from projected import ask, check_statistics, histories
from said_world import BEGIN, World

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.service import FILE, ProjectorService
from perfect_runtime.service import Context
from perfect_runtime.verify import verify
from perfect_schemas import codec, ids, queries, subjects, views
from perfect_schemas import events as e
from perfect_schemas.errors import Failed, InvalidInput, NotFound
from perfect_schemas.waiting_words import waiting_sentence


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
        assert run.waiting_for == waiting_sentence(history.run)
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


async def test_pages_hold_every_run_once(bus: Bus, start) -> None:
    world = World(bus, seed=21)
    world.register()
    projector = await start()
    client = world.client()
    for _ in range(53):
        world.run(client)
    await bus.outbox.flush()
    await projector.caught_up(bus)
    for sort in ("start", "duration"):
        found, cursor = [], None
        while True:
            page = await ask(bus, "runs", queries.RunPage(limit=10, cursor=cursor, sort=sort), queries.Runs)
            found += page.runs
            assert len(page.runs) <= 10
            cursor = page.next
            if cursor is None:
                break
        assert len(found) == 53
        assert {run.id for run in found} == set(world.runs)
        if sort == "start":
            assert [run.created_at for run in found] == sorted((r.created_at for r in found), reverse=True)
        else:
            durations = [-1 if run.duration_ms is None else run.duration_ms for run in found]
            assert durations == sorted(durations, reverse=True)

    async def shown(**filters) -> list[views.RunView]:
        return (await ask(bus, "runs", queries.RunPage(limit=1000, **filters), queries.Runs)).runs

    everything = await shown()
    middle = everything[25].start_time or everything[25].created_at
    for filters, holds in [
        ({"flow": "etl"}, lambda run: run.flow_name == "etl"),
        ({"flow": ids.flow_id("etl")}, lambda run: run.flow_name == "etl"),
        ({"state": ["COMPLETED", "FAILED"]}, lambda run: run.state in ("COMPLETED", "FAILED")),
        ({"tag": "nightly"}, lambda run: "nightly" in run.tags),
        ({"configuration": "debug"}, lambda run: run.configuration == "debug"),
        ({"text": "OTTER"}, lambda run: run.name == "lively-otter"),
        ({"text": "%"}, lambda _: False),
        ({"text": everything[3].id[:-1]}, lambda run: run.id.startswith(everything[3].id[:-1])),
        ({"since": middle}, lambda run: (run.start_time or run.created_at) >= middle),
        ({"until": middle}, lambda run: (run.start_time or run.created_at) < middle),
        ({"ids": [everything[0].id, "nonsense"]}, lambda run: run.id == everything[0].id),
        ({"flow": "train", "state": ["CANCELLED"]}, lambda run: run.flow_name == "train" and run.state == "CANCELLED"),
    ]:  # fmt: skip
        assert await shown(**filters) == [run for run in everything if holds(run)], filters

    with pytest.raises(InvalidInput):
        await shown(cursor="nonsense")
    one = await ask(bus, "run", queries.RunDetail(run_id=everything[0].id), views.RunView)
    assert one == everything[0]
    with pytest.raises(NotFound):
        await ask(bus, "run", queries.RunDetail(run_id=ids.uuid7()), views.RunView)
    await projector.caught_up(bus)
    written = projector.service.committed["EVENTS"]
    reply = await bus.ask(subjects.query("runs"), queries.RunPage())
    assert written <= reply.seq <= (await bus.js.stream_info("EVENTS")).state.last_seq


async def test_log_lines_come_in_the_order_written(bus: Bus, start) -> None:
    projector = await start()
    run_id, task_run_id = ids.uuid7(), ids.uuid7()
    head = {"at": BEGIN, "source": "t", "run_id": run_id}
    scheduled = e.RunScheduled(id=ids.uuid7(), **head, flow_id=ids.flow_id("f"), flow_name="f")
    bus.outbox.put(subjects.run(run_id), codec.encode(scheduled), scheduled.id)
    written = []
    for batch in range(100):
        lines = [
            e.LogLine(
                at=BEGIN,
                level=10 * (1 + n % 5),
                message=f"{batch}/{n} 50% d\x1b[1mone_\x00 😀",
                task_run_id=task_run_id if n % 2 else None,
                task_key=f"copy-{n}" if n % 2 else None,
            )
            for n in range(100)
        ]
        written += lines
        event = e.LogBatch(id=ids.uuid7(), **head, lines=lines)
        bus.outbox.put(subjects.log(run_id), codec.encode(event), event.id)
    await bus.outbox.flush()
    await projector.caught_up(bus)

    async def logs(**query) -> queries.Logs:
        return await ask(bus, "logs", queries.LogPage(run_id=run_id, **query), queries.Logs)

    whole = await logs(limit=10_000)
    assert [line.message for line in whole.logs] == [line.message for line in written]
    assert whole.next is None
    assert whole.seq == 100
    paged, cursor = [], None
    while True:
        page = await logs(limit=777, cursor=cursor)
        paged += page.logs
        cursor = page.next
        if cursor is None:
            break
    assert paged == whole.logs
    tail = await logs(limit=15, tail=True)
    assert tail.logs == whole.logs[-15:]
    assert (await logs(limit=15, tail=True, cursor=tail.next)).logs == whole.logs[-30:-15]
    assert (await logs(limit=10_000, level=40)).logs == [
        line for line in whole.logs if line.level in ("ERROR", "CRITICAL")
    ]
    assert len((await logs(limit=10_000, text="/7 50% DONE_")).logs) == 100
    assert (await logs(text="50x")).logs == []
    assert len((await logs(limit=10_000, task_run_id=task_run_id)).logs) == 5000
    assert len((await logs(limit=10_000, task="copy")).logs) == 5000
    assert len((await logs(limit=10_000, task="copy-1")).logs) == 100
    assert (await logs(task="cop")).logs == []
    assert (await logs(limit=1, tasks=True)).tasks == sorted(f"copy-{n}" for n in range(1, 100, 2))
    place = (whole.logs[5000].seq, whole.logs[5000].n)
    assert (await logs(limit=2, beyond=place)).logs == whole.logs[5001:5003]
    assert (await logs(limit=2, beyond=place, tail=True)).logs == whole.logs[4998:5000]


async def test_flows_clients_and_events(bus: Bus, start) -> None:
    world = World(bus, seed=2)
    world.register()
    projector = await start()
    client, lost, gone = world.client(), world.client(), world.client()
    for _ in range(30):
        world.run(client)
    for kind, who in ((e.ClientLost, lost), (e.ClientDisconnected, gone)):
        world.say(subjects.client(who), kind(id=ids.uuid7(), at=world.tick(), source="t", client_id=who))
    again = e.FlowRegistered(
        id=ids.uuid7(), at=world.tick(), source="registry", flow_id=ids.flow_id("train"), name="train",
        flow_version="v2", tasks=[e.TaskDefinition(id=ids.task_id(ids.flow_id("train"), "fit"), name="fit", weight=9)],
    )  # fmt: skip
    world.say(subjects.flow(again.flow_id), again)
    removed = e.FlowRemoved(id=ids.uuid7(), at=world.tick(), source="registry", flow_id=ids.flow_id("etl"))
    world.say(subjects.flow(removed.flow_id), removed)
    await bus.outbox.flush()
    await projector.caught_up(bus)

    [flow] = await ask(bus, "flows", queries.FlowList(), list[views.FlowView])
    assert (flow.name, flow.version, [task.name for task in flow.tasks]) == ("train", "v2", ["fit"])
    runs = (await ask(bus, "runs", queries.RunPage(flow="train", limit=20), queries.Runs)).runs
    assert [run.id for run in flow.recent] == [run.id for run in runs]
    assert flow.statistics is not None
    hidden = await ask(bus, "flow", queries.FlowDetail(flow="etl"), views.FlowView)
    assert hidden.hidden
    assert hidden.schedules == ["0 0 * * *"]
    assert len(await ask(bus, "flows", queries.FlowList(hidden=True), list[views.FlowView])) == 2

    clients = await ask(bus, "clients", queries.ClientList(), list[views.ClientView])
    assert {one.id: one.state for one in clients} == {client: "CONNECTED", lost: "LOST", gone: "DISCONNECTED"}

    run_id = world.runs[0]
    found = await ask(bus, "events", queries.EventPage(run_id=run_id), queries.Events)
    stream = [
        (seq, data) for seq, subject, data in await bus.read_raw("perfect.evt.>") if subject.endswith(run_id)
    ]
    assert [(one.seq, bytes(one.event)) for one in found.events] == stream
    first = await ask(bus, "events", queries.EventPage(limit=7), queries.Events)
    second = await ask(bus, "events", queries.EventPage(limit=7, cursor=first.next), queries.Events)
    assert [one.seq for one in [*first.events, *second.events]] == list(range(1, 15))


async def test_what_nobody_understands_holds_up_nothing(bus: Bus, start) -> None:
    projector = await start()
    run_id = ids.uuid7()
    for data in (
        b'{"type":"run.teleported","id":"a"}',
        b"\xff\x00",
        b'{"type":"run.queued","x":"\\ud800"}',
        b"",
    ):
        bus.outbox.put(subjects.run(run_id), data, ids.uuid7())
        bus.outbox.put(subjects.log(run_id), data, ids.uuid7())
        bus.outbox.put("perfect.evt.task.no-id", data, ids.uuid7())
    event = e.RunScheduled(
        id=ids.uuid7(), at=BEGIN, source="t", run_id=run_id, flow_id=ids.flow_id("f"), flow_name="f'\"\\",
        parameters={"deep": [[[{}]]], "big": 2**70, "text": "\x00\u2028"},
    )  # fmt: skip
    bus.outbox.put(subjects.run(run_id), codec.encode(event), event.id)
    await bus.outbox.flush()
    await projector.caught_up(bus)
    run = await ask(bus, "run", queries.RunDetail(run_id=run_id), views.RunView)
    assert (run.flow_name, run.parameters) == (event.flow_name, event.parameters)
    assert projector.service.metrics()["events_unknown_total"] == 12
    report = await ask(bus, "integrity", queries.Integrity(), queries.IntegrityReport)
    assert [check for check in report.checks if not check.ok] == []


async def test_the_server_goes_away_and_comes_back(bus: Bus, start, nats_server) -> None:
    world = World(bus, seed=9)
    world.register()
    projector = await start()
    client = world.client()
    for n in range(40):
        world.run(client)
        if n == 20:
            nats_server.kill()
            nats_server.start()
    await asyncio.wait_for(bus.outbox.flush(), 20)
    await projector.caught_up(bus)
    assert (await verify(bus)).differences == []


async def test_a_stream_that_is_another_one_is_not_read(bus: Bus, start) -> None:
    world = World(bus, seed=1)
    world.register()
    client = world.client()
    projector = await start()
    run_id = world.run(client)
    await bus.outbox.flush()
    await projector.caught_up(bus)
    await projector.stop()
    await bus.js.delete_stream("EVENTS")
    await bus.ensure_streams()
    projector = await start()
    health = projector.service.health()
    assert health.status == "degraded"
    assert "stream EVENTS was made at" in health.detail
    assert (await ask(bus, "run", queries.RunDetail(run_id=run_id), views.RunView)).id == run_id


async def test_a_gap_raises_an_alarm(bus: Bus, start) -> None:
    world = World(bus, seed=1)
    projector = await start()
    client = world.client()
    world.run(client)
    await bus.outbox.flush()
    await projector.caught_up(bus)
    await projector.stop()
    world.run(client)
    await bus.outbox.flush()
    await bus.js.purge_stream("EVENTS")
    last = world.run(client)
    await bus.outbox.flush()
    projector = await start()
    await projector.caught_up(bus)
    assert projector.service.status == "degraded"
    assert "are lost to the read model" in projector.service.health().detail
    assert (await ask(bus, "run", queries.RunDetail(run_id=last), views.RunView)).id == last


async def test_a_damaged_write_ahead_log_is_replayed_from_the_bus(
    bus: Bus, start, settings: Settings
) -> None:
    world = World(bus, seed=4)
    world.register()
    projector = await start()
    client = world.client()
    for _ in range(20):
        world.run(client)
    await bus.outbox.flush()
    await projector.caught_up(bus)
    file = settings.data_dir / FILE
    log = file.with_name(FILE + ".wal")
    kept = (file.read_bytes(), log.read_bytes())  # as a crash would leave them
    await projector.stop()
    file.write_bytes(kept[0])
    log.write_bytes(kept[1][:-300] + b"\x00" * 150 + kept[1][-150:])

    projector = await start()
    await projector.caught_up(bus)
    assert list(settings.data_dir.glob(FILE + ".wal.damaged-*"))
    assert (await verify(bus)).differences == []


async def test_a_second_projector_on_the_file_is_refused(start, settings: Settings) -> None:
    file = settings.data_dir / FILE
    script = (
        f"import duckdb, sys; c = duckdb.connect({str(file)!r}); print('open', flush=True); sys.stdin.read()"
    )
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    await process.stdout.readline()
    with pytest.raises(Failed, match="in use by another process"):
        await start()
    process.stdin.close()
    await process.wait()


async def test_a_run_of_a_thousand_tasks_is_soon_visible(bus: Bus, start) -> None:
    projector = await start()
    world = World(bus, seed=1)
    run_id, client = ids.uuid7(), ids.uuid7()
    flow = ids.flow_id("etl")
    head = {"at": BEGIN, "source": "t", "run_id": run_id}

    def say(subject, kind, **fields) -> None:
        world.say(subject, kind(id=ids.uuid7(), **head, **fields))

    say(subjects.run(run_id), e.RunScheduled, flow_id=flow, flow_name="etl")
    say(subjects.run(run_id), e.RunStarted, epoch=1, client_id=client)
    for n in range(1000):
        key = f"t-{n}"
        task = {
            "task_run_id": ids.task_run_id(run_id, key), "task_key": key, "task_id": ids.task_id(flow, "t"),
            "name": "t", "ordinal": n, "epoch": 1,
        }  # fmt: skip
        say(subjects.task(run_id), e.TaskStarted, **task)
        say(subjects.task(run_id), e.TaskCompleted, **task, duration_ms=n % 5)
    say(subjects.run(run_id), e.RunCompleted, epoch=1, duration_ms=500)
    await bus.outbox.flush()
    begin = asyncio.get_running_loop().time()
    await projector.caught_up(bus)
    assert asyncio.get_running_loop().time() - begin < 2  # some 0.1 s on an idle machine
    run = await ask(bus, "run", queries.RunDetail(run_id=run_id), views.RunView)
    assert (run.state, run.progress, run.tasks_done, run.tasks_total) == ("COMPLETED", 100, 1000, 1000)
    first = await ask(bus, "task_runs", queries.TaskRunPage(run_id=run_id, limit=600), queries.TaskRuns)
    rest = await ask(
        bus, "task_runs", queries.TaskRunPage(run_id=run_id, limit=600, cursor=first.next), queries.TaskRuns
    )
    assert [task.task_key for task in [*first.task_runs, *rest.task_runs]] == [f"t-{n}" for n in range(1000)]
    assert rest.next is None


async def test_a_stream_that_lost_its_end_raises_an_alarm_and_is_read_on(
    bus: Bus, start, settings: Settings
) -> None:
    world = World(bus, seed=1)
    projector = await start()
    client = world.client()
    world.run(client)
    await bus.outbox.flush()
    await projector.caught_up(bus)
    await projector.stop()
    with duckdb.connect(str(settings.data_dir / FILE)) as file:
        file.execute("UPDATE consumer_offsets SET seq = seq + 5 WHERE stream = 'EVENTS'")
    projector = await start()
    assert projector.service.status == "degraded"
    assert "the stream has lost messages" in projector.service.health().detail
    last = world.run(client)
    await bus.outbox.flush()
    await projector.caught_up(bus)
    assert (await ask(bus, "run", queries.RunDetail(run_id=last), views.RunView)).id == last
    report = await ask(bus, "integrity", queries.Integrity(), queries.IntegrityReport)
    assert [check for check in report.checks if not check.ok] == []
