"""Reading and following streams of a real nats-server, and the streams themselves."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from perfect_bus import Bus
from perfect_bus.bus import Connection
from perfect_runtime.natsd import NatsServer
from perfect_schemas import ids, streams, subjects

MakeBus = Callable[..., Awaitable[Bus]]


async def test_reading_pages_over_more_messages_than_one_batch_holds(bus: Bus) -> None:
    run_id = ids.uuid7()
    for n in range(2500):
        bus.outbox.put(subjects.task(run_id), b"%d" % n, ids.uuid7())
        bus.outbox.put(subjects.task("other"), b"", ids.uuid7())
    await bus.outbox.flush()
    raw = await bus.read_raw(subjects.task(run_id))
    assert [int(data) for _, _, data in raw] == list(range(2500))
    middle = raw[1700][0]
    assert await bus.read_raw(subjects.task(run_id), after=middle) == raw[1701:]
    assert await bus.read_raw(subjects.task(run_id), until=middle) == raw[:1701]
    assert await bus.read_raw(subjects.task("nobody")) == []


@pytest.mark.parametrize("count", [0, 1, 3000])
async def test_the_last_message_of_any_number_of_subjects(bus: Bus, count: int) -> None:
    for n in range(count):
        for data in (b"old", b"%d" % n):
            bus.outbox.put(subjects.run(str(n)), data, ids.uuid7())
            bus.outbox.put(subjects.task(str(n)), b"task", ids.uuid7())
    await bus.outbox.flush()
    last, up_to = await bus.last_of_each(subjects.ALL_RUNS)
    assert {subject: data for subject, (_, data) in last.items()} == {
        subjects.run(str(n)): b"%d" % n for n in range(count)
    }
    assert up_to >= max((seq for seq, _ in last.values()), default=0)


async def test_the_last_messages_when_what_is_pending_is_purged_meanwhile(
    bus: Bus, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is more than the server sends without being asked to go on: no message is ever said to be the last."""
    names = [f"{n:02}" for n in range(40)]
    for name in names:
        await bus.js.publish(subjects.run(name), bytes(400_000))
    subscribe = bus.js.subscribe

    async def purge() -> None:
        other = await Bus.connect(connection, name="purging")
        await other.js.purge_stream("EVENTS", subject=subjects.ALL_RUNS)
        await other.close()

    purging = threading.Thread(target=lambda: asyncio.run(purge()))

    async def subscribed(*args: Any, cb: Callable[..., Any], **kwargs: Any) -> Any:
        async def each(msg: Any) -> None:
            if purging.ident is None:
                purging.start()
                purging.join()  # nothing is read, so nothing more is sent, meanwhile
            await cb(msg)

        return await subscribe(*args, cb=each, **kwargs)

    monkeypatch.setattr(bus.js, "subscribe", subscribed)
    last, _ = await bus.last_of_each(subjects.ALL_RUNS)
    assert 0 < len(last) < len(names)


async def test_following_is_without_gap_or_double_over_restarts_of_the_server(
    bus: Bus, nats_server: NatsServer
) -> None:
    seen: list[tuple[int, int]] = []
    changed = asyncio.Event()

    async def each(msg, seq: int) -> None:
        seen.append((seq, int(msg.data)))
        changed.set()

    for n in range(1000):
        bus.outbox.put(subjects.task("a"), b"%d" % n, ids.uuid7())
    await bus.outbox.flush()
    await bus.follow("EVENTS", each, after=300)
    for n in range(1000, 3000):
        bus.outbox.put(subjects.task("a"), b"%d" % n, ids.uuid7())
        if n in (1400, 2200):
            nats_server.kill()
            await asyncio.sleep(0.05)
            nats_server.start()
    await bus.outbox.flush()
    stored = [(seq, int(data)) for seq, _, data in await bus.read_raw(subjects.task("a"), after=300)]
    async with asyncio.timeout(60):
        while len(seen) < len(stored):
            changed.clear()
            await changed.wait()
    assert seen == stored
    assert [value for _, value in stored] == list(range(300, 3000))


async def test_streams_that_exist_are_left_alone_and_two_may_create_them_at_once(make_bus: MakeBus) -> None:
    one, other = await make_bus("one"), await make_bus("other")
    await asyncio.gather(one.ensure_streams(), other.ensure_streams())
    await one.ensure_streams()
    info = await one.js.stream_info("EVENTS")
    assert (info.config.discard, info.config.duplicate_window) == ("new", streams.DUPLICATE_WINDOW_S)


async def test_streams_of_an_older_version_get_the_window_and_the_subjects_of_this_one(bus: Bus) -> None:
    before = (await bus.js.stream_info("DEFS")).config
    await bus.js.update_stream(before.evolve(subjects=(before.subjects or [])[:1], duplicate_window=600.0))
    await bus.ensure_streams()
    after = (await bus.js.stream_info("DEFS")).config
    assert after.duplicate_window == streams.DUPLICATE_WINDOW_S
    assert set(after.subjects or []) == set(before.subjects or [])
