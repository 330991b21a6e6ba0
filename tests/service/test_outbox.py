"""The outbox on a real nats-server: order, room, deadlines, what is left."""

import asyncio

import pytest

from perfect_bus import Bus
from perfect_bus.bus import Connection
from perfect_runtime.natsd import NatsServer
from perfect_schemas import ids, streams, subjects
from perfect_schemas.errors import (
    BusUnavailable,
)


async def test_a_message_above_the_servers_limit_does_not_hold_up_the_outbox(bus: Bus) -> None:
    bus.outbox.put(subjects.task("a"), b"x" * (streams.MAX_PAYLOAD_BYTES + 1))
    bus.outbox.put(subjects.task("a"), b"{}")
    await asyncio.wait_for(bus.outbox.flush(), 60)
    assert bus.outbox.refused == 1
    assert [data for _, _, data in await bus.read_raw(subjects.task("a"))] == [b"{}"]


async def test_the_outbox_keeps_the_order_and_loses_nothing_over_a_restart(
    bus: Bus, nats_server: NatsServer
) -> None:
    async def push(start: int) -> None:
        for n in range(start, start + 400):
            bus.outbox.put(subjects.task("a"), b"%d" % n, ids.uuid7())
            if n % 20 == 0:
                await asyncio.sleep(0)

    await push(0)
    await asyncio.sleep(0.01)
    nats_server.kill()
    await push(400)
    nats_server.start()
    await push(800)
    await asyncio.wait_for(bus.outbox.flush(), 60)
    values = [int(data) for _, _, data in await bus.read_raw(subjects.task("a"))]
    assert values == list(range(1200))


async def test_a_full_outbox_makes_callers_wait_until_there_is_room(
    bus: Bus, nats_server: NatsServer
) -> None:
    nats_server.kill()
    while not bus.outbox.is_full:
        bus.outbox.put(subjects.task("a"), b"x" * 65536, ids.uuid7())
    waiting = asyncio.create_task(bus.outbox.room())
    await asyncio.sleep(0.05)
    assert not waiting.done()
    nats_server.start()
    await asyncio.wait_for(waiting, 60)
    await asyncio.wait_for(bus.outbox.flush(), 60)


async def test_a_deadline_holds_behind_messages_that_have_none(bus: Bus, nats_server: NatsServer) -> None:
    nats_server.kill()
    bus.outbox.put(subjects.task("a"), b"{}", ids.uuid7())
    async with asyncio.timeout(60):
        with pytest.raises(BusUnavailable):
            await bus.outbox.send(subjects.task("a"), b"{}", ids.uuid7(), deadline_s=0.5)
    nats_server.start()


async def test_closing_says_how_many_messages_were_left(
    connection: Connection, bus: Bus, nats_server: NatsServer
) -> None:
    other = await Bus.connect(connection, name="other")
    nats_server.kill()
    for _ in range(3):
        other.outbox.put(subjects.task("a"), b"{}", ids.uuid7())
    assert await other.close(flush_s=0.1) == 3
    nats_server.start()
