"""What a projector does when its streams or its file are not what they were."""

import asyncio
import sys

import duckdb
import pytest
from projected import ask
from projecting import projectors
from said_world import BEGIN, World

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.service import FILE
from perfect_runtime.verify import verify
from perfect_schemas import codec, ids, queries, subjects, views
from perfect_schemas import events as e
from perfect_schemas.errors import Failed


@pytest.fixture
async def start(settings: Settings, make_bus):
    async with projectors(settings, make_bus) as start:
        yield start


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
    await asyncio.wait_for(bus.outbox.flush(), 60)
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
