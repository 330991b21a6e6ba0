"""The projector's answers in pages: every run and every log line once."""

import pytest
from projected import ask
from projecting import projectors
from said_world import BEGIN, World

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_schemas import codec, ids, queries, subjects, views
from perfect_schemas import events as e
from perfect_schemas.errors import InvalidInput, NotFound


@pytest.fixture
async def start(settings: Settings, make_bus):
    async with projectors(settings, make_bus) as start:
        yield start


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
