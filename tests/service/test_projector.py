"""The projector on a real nats-server: its answers are the fold of the streams."""

import duckdb
import pytest
from projected import ask, check_statistics, histories
from projecting import projectors
from said_world import BEGIN, World

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.service import FILE
from perfect_runtime.verify import verify
from perfect_schemas import events as e
from perfect_schemas import ids, queries, subjects, views
from perfect_schemas.waiting_words import waiting_sentence


@pytest.fixture
async def start(settings: Settings, make_bus):
    async with projectors(settings, make_bus) as start:
        yield start


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


async def test_a_run_of_a_thousand_tasks_is_visible(bus: Bus, start) -> None:
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
    await projector.caught_up(bus)
    run = await ask(bus, "run", queries.RunDetail(run_id=run_id), views.RunView)
    assert (run.state, run.progress, run.tasks_done, run.tasks_total) == ("COMPLETED", 100, 1000, 1000)
    first = await ask(bus, "task_runs", queries.TaskRunPage(run_id=run_id, limit=600), queries.TaskRuns)
    rest = await ask(
        bus, "task_runs", queries.TaskRunPage(run_id=run_id, limit=600, cursor=first.next), queries.TaskRuns
    )
    assert [task.task_key for task in [*first.task_runs, *rest.task_runs]] == [f"t-{n}" for n in range(1000)]
    assert rest.next is None
