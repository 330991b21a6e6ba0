"""What the projector gathers from the streams: everything, once, in order, and never more than it can hold."""

import asyncio
import time
from types import SimpleNamespace

import pytest

from perfect_bus import Bus
from perfect_projector import journal as module
from perfect_projector.journal import STREAMS, Journal
from perfect_schemas import codec, ids, subjects
from perfect_schemas import events as e
from perfect_schemas.envelope import utc_now


def say(bus: Bus, count: int) -> None:
    run_id = ids.uuid7()
    for n in range(count):
        bus.outbox.put(subjects.task(run_id), b'{"n":%d}' % n, ids.uuid7())
        if n % 10 == 0:
            bus.outbox.put(subjects.log(run_id), b'{"n":%d}' % n, ids.uuid7())


async def test_a_slow_taker_holds_up_the_server_and_misses_nothing(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_MESSAGES", 100)
    journal = Journal(bus, dict.fromkeys(STREAMS, 0))
    say(bus, 2000)
    await bus.outbox.flush()
    await journal.follow(*STREAMS)
    taken = []
    while len(taken) < 2200:
        messages = await journal.take(10, 0.001, 60)
        assert 0 < len(messages) <= 100 + len(STREAMS)
        assert journal.lag()[0] > 50 or len(taken) > 1000
        taken += messages
    for stream, count in (("EVENTS", 2000), ("LOGS", 200)):
        assert [message.seq for message in taken if message.stream == stream] == list(range(1, count + 1))
    assert journal.lag() == (0, 0)
    await journal.stop()


async def test_it_goes_on_after_what_is_in_the_file(bus: Bus) -> None:
    say(bus, 50)
    await bus.outbox.flush()
    journal = Journal(bus, {"DEFS": 0, "EVENTS": 40, "LOGS": 5})
    await journal.follow(*STREAMS)
    assert [message.seq for message in await journal.take(10, 5, 60)] == list(range(41, 51))
    await journal.stop()


async def test_it_waits_for_the_first_and_gathers_a_moment(bus: Bus) -> None:
    journal = Journal(bus, dict.fromkeys(STREAMS, 0))
    await journal.follow(*STREAMS)
    taking = asyncio.create_task(journal.take(1000, 0.05, 60))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(taking), 0.1)
    say(bus, 9)
    messages = await taking
    assert len(messages) == 10
    assert all(message.month == messages[0].month for message in messages)
    await journal.stop()


async def test_it_gathers_while_a_run_goes_on_and_no_longer(bus: Bus) -> None:
    subject, common = subjects.run(ids.uuid7()), {"at": utc_now(), "source": "test"}
    journal = Journal(bus, dict.fromkeys(STREAMS, 0))
    await journal.follow(*STREAMS)
    taking = asyncio.create_task(journal.take(1000, 600, 600, 0.001))
    begin = e.RunQueued(id=ids.uuid7(), **common)
    await bus.outbox.send(subject, codec.encode(begin), begin.id)
    bus.outbox.put(subjects.task(ids.uuid7()), b'{"n":1}', ids.uuid7())
    await bus.outbox.flush()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(taking), 0.1)
    end = e.RunCompleted(id=ids.uuid7(), **common, duration_ms=1)
    await bus.outbox.send(subject, codec.encode(end), end.id)
    assert len(await taking) == 3
    await journal.stop()


async def test_what_has_waited_while_another_batch_was_written_is_not_made_to_wait_again(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, step = 1000.0, 0.0

    def monotonic() -> float:
        nonlocal now
        now += step
        return now

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=monotonic, time_ns=time.time_ns))
    journal = Journal(bus, dict.fromkeys(STREAMS, 0))
    say(bus, 9)
    await bus.outbox.flush()
    await journal.follow(*STREAMS)
    assert len(await journal.take(10, 50, 60)) == 10  # as many as were asked for: at once
    say(bus, 9)
    await bus.outbox.flush()
    taking = asyncio.create_task(journal.take(1000, 50, 60))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(taking), 0.1)
    taking.cancel()
    step = 50.0
    messages = []
    while len(messages) < 10:
        messages += await asyncio.wait_for(journal.take(1000, 50, 60), 60)
    assert len(messages) == 10
    await journal.stop()


async def test_when_a_burst_is_over_nothing_more_is_waited_for(bus: Bus) -> None:
    journal = Journal(bus, dict.fromkeys(STREAMS, 0))
    say(bus, 9)
    await bus.outbox.flush()
    await journal.follow(*STREAMS)
    messages = []
    while len(messages) < 10:
        messages += await asyncio.wait_for(journal.take(1000, 3600, 0.01), 60)
    assert len(messages) == 10
    await journal.stop()
