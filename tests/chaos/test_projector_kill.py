"""Kills of the projector (SIGKILL, at random instants) while runs are being said.

Afterwards the file holds every event once, its offsets are the last sequences, and what it answers is a fold of the
streams. The seed is printed; set PERFECT_TEST_SEED to repeat one (the instants, that is).
"""

import asyncio
import signal

import duckdb
import pytest
from chaos import FULL, seeded
from projected import check_statistics, histories
from projector_process import Projector
from said_world import World

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.service import FILE
from perfect_runtime.natsd import NatsServer
from perfect_runtime.verify import verify

KILLS = 100 if FULL else 12


@pytest.mark.timeout(400 if FULL else 120)
async def test_kill_9_at_any_instant_loses_and_doubles_nothing(
    bus: Bus, settings: Settings, nats_server: NatsServer
) -> None:
    rng = seeded()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    nats_server.connection.save(settings.connection_file)
    world = World(bus, rng.randrange(2**32))
    world.register()
    client = world.client()
    over = asyncio.Event()

    async def say() -> None:
        while not over.is_set():
            world.run(client)
            await bus.outbox.flush()
            await asyncio.sleep(rng.random() * 0.02)

    saying = asyncio.create_task(say())
    projector = Projector(settings)
    try:
        for _ in range(KILLS):
            await projector.start()
            await asyncio.sleep(
                0.25 + rng.random() * 0.75
            )  # an instant is what is wanted: in the start, or later
            code, written = await projector.end(signal.SIGKILL)
            assert code == -signal.SIGKILL, written
        over.set()
        await saying
        await projector.start()
        report = await verify(bus, timeout_s=60)
        assert report.differences == []
        assert report.runs == len(world.runs)
        await check_statistics(bus, await histories(bus))
    finally:
        over.set()
        code, written = await projector.end(signal.SIGTERM)
    assert code == 0, written

    stream = {
        name: [seq for seq, _, _ in await bus.read_raw(subject, stream=name)]
        for name, subject in (("EVENTS", "perfect.evt.>"), ("DEFS", "perfect.evt.>"))
    }
    with duckdb.connect(str(settings.data_dir / FILE), read_only=True) as file:
        for name, wanted in stream.items():
            found = file.execute("SELECT seq FROM events WHERE stream = ? ORDER BY seq", [name]).fetchall()
            assert [seq for (seq,) in found] == wanted
