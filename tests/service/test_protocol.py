"""The protocol on a real nats-server: append, claim, guards, outbox, presence, reading and following."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from perfect_bus import Bus, Conflict, Guard, append
from perfect_bus.append import append_pair, guard_headers
from perfect_bus.bus import Connection
from perfect_bus.claim import Claim, claim, read_history, start_epoch
from perfect_bus.presence import keep, renew, watch, withdraw
from perfect_runtime.natsd import NatsServer
from perfect_schemas import codec, ids, streams, subjects
from perfect_schemas.commands import HandOver, Presence, Reply
from perfect_schemas.envelope import StoredValue, utc_now
from perfect_schemas.errors import (
    BusUnavailable,
    Conflicting,
    Failed,
    ServiceUnavailable,
    TooLarge,
)
from perfect_schemas.events import RunCancelled, RunQueued, RunScheduled, TaskCompleted, TaskStarted
from perfect_schemas.states import RunState, TaskState

MakeBus = Callable[..., Awaitable[Bus]]


def scheduled(run_id: str, **values) -> RunScheduled:
    return RunScheduled(
        id=ids.uuid7(),
        at=utc_now(),
        source="test",
        run_id=run_id,
        flow_id=ids.flow_id("f"),
        flow_name="f",
        **values,
    )


def queued(run_id: str) -> RunQueued:
    return RunQueued(id=ids.uuid7(), at=utc_now(), source="test", run_id=run_id)


def task_event(kind: type, run_id: str, epoch: int, **values):
    key = values.pop("key", "flow/t-0")
    return kind(
        id=ids.uuid7(),
        at=utc_now(),
        source="test",
        run_id=run_id,
        task_run_id=ids.task_run_id(run_id, key),
        task_key=key,
        task_id=ids.task_id(ids.flow_id("f"), "t"),
        name="t",
        epoch=epoch,
        **values,
    )


async def queue_run(bus: Bus) -> tuple[str, int]:
    """A PENDING run. Returns its id and the sequence of its run.queued."""
    run_id = ids.uuid7()
    subject = subjects.run(run_id)
    first = await append(bus, subject, scheduled(run_id), Guard(subject, 0))
    return run_id, await append(bus, subject, queued(run_id), Guard(subject, first))


def hand_over(run_id: str, queued_seq: int, epoch: int = 1) -> HandOver:
    return HandOver(
        run_id=run_id,
        flow_id=ids.flow_id("f"),
        flow_name="f",
        queued_seq=queued_seq,
        epoch=epoch,
        configuration="development",
        parameters={},
    )


async def take(bus: Bus, run_id: str, queued_seq: int, epoch: int = 1) -> Claim | None:
    return await claim(
        bus, hand_over(run_id, queued_seq, epoch), client_id=ids.uuid7(), client_name="w", flow_version=None
    )


# -- append


async def test_append_stores_the_event_as_it_is(bus: Bus) -> None:
    run_id = ids.uuid7()
    event = scheduled(run_id, parameters={"day": "today", "n": 3}, tags=["a"])
    seq = await append(bus, subjects.run(run_id), event, Guard(subjects.run(run_id), 0))
    assert await bus.read(subjects.run(run_id)) == [(seq, event)]


async def test_append_on_a_subject_that_has_moved_on_is_a_conflict_that_shows_what_came(bus: Bus) -> None:
    run_id = ids.uuid7()
    subject = subjects.run(run_id)
    first = await append(bus, subject, scheduled(run_id), Guard(subject, 0))
    other = queued(run_id)
    second = await append(bus, subject, other, Guard(subject, first))
    with pytest.raises(Conflict) as conflict:
        await append(bus, subject, queued(run_id), Guard(subject, first))
    assert conflict.value.events == [(second, other)]
    assert len(await bus.read(subject)) == 2


async def test_a_pair_stands_together(bus: Bus) -> None:
    run_id = ids.uuid7()
    subject = subjects.run(run_id)
    pair = scheduled(run_id), queued(run_id)
    seq, behind = await append_pair(bus, subject, *pair, Guard(subject, 0))
    assert behind == seq + 1
    assert await bus.read(subject) == [(seq, pair[0]), (behind, pair[1])]


async def test_the_second_of_a_pair_is_not_stored_without_the_first(bus: Bus) -> None:
    run_id = ids.uuid7()
    subject = subjects.run(run_id)
    there = scheduled(run_id)
    first = await append(bus, subject, there, Guard(subject, 0))
    with pytest.raises(Conflict) as conflict:
        await append_pair(bus, subject, scheduled(run_id), queued(run_id), Guard(subject, 0))
    assert conflict.value.events == [(first, there)]
    assert len(await bus.read(subject)) == 1


async def test_the_second_of_a_pair_is_not_stored_behind_anything_else(bus: Bus) -> None:
    run_id, other = ids.uuid7(), ids.uuid7()
    subject = subjects.run(run_id)
    event = scheduled(run_id)
    seq = await append(bus, subject, event, Guard(subject, 0))
    await append(bus, subjects.run(other), scheduled(other), Guard(subjects.run(other), 0))
    assert await append_pair(bus, subject, event, queued(run_id), Guard(subject, 0)) == (seq, None)
    assert await bus.read(subject) == [(seq, event)]


async def test_sending_the_same_event_again_is_success_and_stores_nothing(bus: Bus) -> None:
    run_id = ids.uuid7()
    subject = subjects.run(run_id)
    event = scheduled(run_id)
    seq = await append(bus, subject, event, Guard(subject, 0))
    assert await append(bus, subject, event, Guard(subject, 0)) == seq
    await append(bus, subject, queued(run_id), Guard(subject, seq))
    assert await append(bus, subject, event, Guard(subject, 0)) == seq  # even when something came after it
    assert len(await bus.read(subject)) == 2


async def test_a_task_event_sent_again_after_its_run_moved_on_is_still_success(bus: Bus) -> None:
    run_id, queued_seq = await queue_run(bus)
    mine = await take(bus, run_id, queued_seq)
    done = task_event(TaskCompleted, run_id, 1, duration_ms=1)
    guard = Guard(subjects.run(run_id), mine.seq)
    seq = await append(bus, subjects.task(run_id), done, guard)
    await start_epoch(
        bus,
        run_id=run_id,
        epoch=2,
        after_seq=mine.seq,
        client_id=ids.uuid7(),
        client_name="w",
        flow_version=None,
    )
    assert await append(bus, subjects.task(run_id), done, guard) == seq
    assert len(await bus.read(subjects.task(run_id))) == 1


async def test_an_event_that_is_too_large_is_refused_before_anything_is_sent(bus: Bus) -> None:
    run_id = ids.uuid7()
    event = scheduled(run_id, parameters={"blob": "x" * streams.MAX_PAYLOAD_BYTES})
    with pytest.raises(TooLarge, match="larger than the 8,388,608 bytes"):
        await append(bus, subjects.run(run_id), event, Guard(subjects.run(run_id), 0))
    assert await bus.read(subjects.run(run_id)) == []


async def test_an_event_just_below_the_limit_is_stored(bus: Bus) -> None:
    run_id = ids.uuid7()
    event = scheduled(run_id, parameters={"blob": "x" * (streams.MAX_PAYLOAD_BYTES - 8192)})
    await append(bus, subjects.run(run_id), event, Guard(subjects.run(run_id), 0))
    (_, stored), *_ = await bus.read(subjects.run(run_id))
    assert stored == event


async def test_a_message_above_the_servers_limit_does_not_hold_up_the_outbox(bus: Bus) -> None:
    bus.outbox.put(subjects.task("a"), b"x" * (streams.MAX_PAYLOAD_BYTES + 1))
    bus.outbox.put(subjects.task("a"), b"{}")
    await asyncio.wait_for(bus.outbox.flush(), 5)
    assert bus.outbox.refused == 1
    assert [data for _, _, data in await bus.read_raw(subjects.task("a"))] == [b"{}"]


async def test_append_without_a_stream_is_unknown_at_the_deadline(make_bus: MakeBus) -> None:
    bus = await make_bus()
    run_id = ids.uuid7()
    with pytest.raises(BusUnavailable, match="unknown"):
        await append(
            bus, subjects.run(run_id), scheduled(run_id), Guard(subjects.run(run_id), 0), deadline_s=0.3
        )


async def test_append_waits_through_a_restart_of_the_server(bus: Bus, nats_server: NatsServer) -> None:
    run_id = ids.uuid7()
    subject = subjects.run(run_id)
    first = await append(bus, subject, scheduled(run_id), Guard(subject, 0))
    nats_server.kill()
    pending = asyncio.create_task(append(bus, subject, queued(run_id), Guard(subject, first)))
    await asyncio.sleep(0.05)
    nats_server.start()
    assert await pending == first + 1


# -- claim


async def test_of_ten_workers_that_claim_a_run_exactly_one_gets_it(bus: Bus, make_bus: MakeBus) -> None:
    workers = [await make_bus(f"worker {n}") for n in range(10)]
    for _ in range(20):
        run_id, queued_seq = await queue_run(bus)
        claims = await asyncio.gather(*(take(worker, run_id, queued_seq) for worker in workers))
        won = [one for one in claims if one is not None]
        assert len(won) == 1
        assert won[0].epoch == 1
        history = await read_history(bus, run_id)
        assert (history.run.state, history.run.client_id) == (RunState.RUNNING, won[0].client_id)


async def test_a_claim_of_a_run_that_was_cancelled_meanwhile_is_dropped(bus: Bus) -> None:
    run_id, queued_seq = await queue_run(bus)
    subject = subjects.run(run_id)
    cancelled = RunCancelled(id=ids.uuid7(), at=utc_now(), source="test", run_id=run_id)
    await append(bus, subject, cancelled, Guard(subject, queued_seq))
    assert await take(bus, run_id, queued_seq) is None


async def test_a_guarded_task_event_is_refused_once_a_newer_epoch_has_begun(bus: Bus) -> None:
    run_id, queued_seq = await queue_run(bus)
    old = await take(bus, run_id, queued_seq)
    new = await start_epoch(
        bus,
        run_id=run_id,
        epoch=2,
        after_seq=old.seq,
        client_id=ids.uuid7(),
        client_name="w",
        flow_version=None,
    )
    late = task_event(TaskCompleted, run_id, 1, duration_ms=1)
    with pytest.raises(Conflict) as conflict:
        await append(bus, subjects.task(run_id), late, Guard(subjects.run(run_id), old.seq))
    assert [(seq, event.epoch) for seq, event in conflict.value.events] == [(new.seq, 2)]
    assert await bus.read(subjects.task(run_id)) == []


async def test_history_is_read_up_to_the_claim_and_no_further(bus: Bus) -> None:
    run_id, queued_seq = await queue_run(bus)
    first = await take(bus, run_id, queued_seq)
    done = task_event(
        TaskCompleted, run_id, 1, duration_ms=1, result=StoredValue(value=codec.msgspec.Raw(b"1"))
    )
    await append(bus, subjects.task(run_id), done, Guard(subjects.run(run_id), first.seq))
    second = await start_epoch(
        bus,
        run_id=run_id,
        epoch=2,
        after_seq=first.seq,
        client_id=ids.uuid7(),
        client_name="w",
        flow_version=None,
    )
    later = task_event(TaskStarted, run_id, 2, key="flow/t-1")
    await bus.outbox.send(subjects.task(run_id), codec.encode(later), later.id)
    history = await read_history(bus, run_id, until=second.seq)
    assert {key: task.state for key, task in history.tasks.items()} == {"flow/t-0": TaskState.COMPLETED}
    assert history.run.epoch == 2


# -- reading


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
    async with asyncio.timeout(15):
        while len(seen) < len(stored):
            changed.clear()
            await changed.wait()
    assert seen == stored
    assert [value for _, value in stored] == list(range(300, 3000))


# -- outbox


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
    await asyncio.wait_for(bus.outbox.flush(), 10)
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
    await asyncio.wait_for(waiting, 10)
    await asyncio.wait_for(bus.outbox.flush(), 10)


async def test_a_deadline_holds_behind_messages_that_have_none(bus: Bus, nats_server: NatsServer) -> None:
    nats_server.kill()
    bus.outbox.put(subjects.task("a"), b"{}", ids.uuid7())
    began = time.monotonic()
    with pytest.raises(BusUnavailable):
        await bus.outbox.send(subjects.task("a"), b"{}", ids.uuid7(), deadline_s=0.5)
    assert time.monotonic() - began < 2
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


# -- presence


def presence(client_id: str, **values) -> Presence:
    return Presence(client_id=client_id, name="w", host="h", pid=1, slots=2, **values)


async def test_presence_is_seen_and_its_expiry_within_the_lease_and_a_half_second_and_one(
    bus: Bus, make_bus: MakeBus
) -> None:
    """The server's granularity is a second."""
    client_id = ids.uuid7()
    heard = watch(await make_bus("watcher"))
    assert await anext(heard) is None
    await renew(bus, presence(client_id), lease_s=1)
    assert await anext(heard) == (client_id, presence(client_id))
    began = time.monotonic()
    assert await asyncio.wait_for(anext(heard), 10) == (client_id, None)
    assert 0.5 < time.monotonic() - began < 1 + 1.5
    await heard.aclose()


async def test_a_watcher_that_comes_later_sees_who_is_there(bus: Bus) -> None:
    here, gone = ids.uuid7(), ids.uuid7()
    await renew(bus, presence(here), lease_s=30)
    await renew(bus, presence(gone), lease_s=30)
    await withdraw(bus, gone)
    heard = watch(bus)
    assert [await anext(heard), await anext(heard)] == [(here, presence(here)), None]
    await heard.aclose()


async def test_a_good_bye_is_seen_at_once_and_a_change_without_waiting_for_the_next_renewal(bus: Bus) -> None:
    client_id = ids.uuid7()
    draining, changed, renewals = False, asyncio.Event(), 0

    def renewed() -> None:
        nonlocal renewals
        renewals += 1

    heard = watch(bus)
    assert await anext(heard) is None
    keeper = asyncio.create_task(
        keep(
            bus,
            lambda: presence(client_id, draining=draining),
            lease_s=30,
            every_s=20,
            renewed=renewed,
            changed=changed,
        )
    )
    assert await asyncio.wait_for(anext(heard), 5) == (client_id, presence(client_id))
    draining = True
    changed.set()
    assert await asyncio.wait_for(anext(heard), 5) == (client_id, presence(client_id, draining=True))
    keeper.cancel()
    await withdraw(bus, client_id)
    assert await asyncio.wait_for(anext(heard), 5) == (client_id, None)
    assert renewals >= 1
    await heard.aclose()


async def test_presence_outlives_a_restart_of_the_server(bus: Bus, nats_server: NatsServer) -> None:
    client_id = ids.uuid7()
    heard = watch(bus)
    assert await anext(heard) is None
    keeper = asyncio.create_task(keep(bus, lambda: presence(client_id), lease_s=3, every_s=0.5))
    assert await asyncio.wait_for(anext(heard), 5) == (client_id, presence(client_id))
    nats_server.kill()
    await asyncio.sleep(0.2)
    nats_server.start()
    for _ in range(2):
        assert await asyncio.wait_for(anext(heard), 15) == (client_id, presence(client_id))
    keeper.cancel()
    async with asyncio.timeout(10):
        while (await anext(heard))[1] is not None:
            pass
    await heard.aclose()


# -- asking


async def test_an_answer_of_any_size_arrives_whole(bus: Bus, make_bus: MakeBus) -> None:
    async def answer(data: bytes) -> Reply:
        return Reply(value=codec.msgspec.Raw(codec.encode("x" * int(data))), seq=7)

    asking = await make_bus("asking")
    await bus.answer("perfect.qry.test", answer)
    for size in (1, 100_000, 3_000_000):
        reply = await asking.ask("perfect.qry.test", size)
        assert (len(codec.msgspec.json.decode(reply.value)), reply.seq) == (size, 7)


async def test_a_problem_is_raised_as_the_error_it_was(bus: Bus) -> None:
    async def reject(_: bytes) -> Reply:
        raise Conflicting("run x is final; start a new one")

    async def fail(_: bytes) -> Reply:
        raise ZeroDivisionError("a bug")

    await bus.answer("perfect.cmd.test.reject", reject)
    await bus.answer("perfect.cmd.test.fail", fail)
    with pytest.raises(Conflicting, match="run x is final"):
        await bus.ask("perfect.cmd.test.reject", {})
    with pytest.raises(Failed, match="ZeroDivisionError: a bug"):
        await bus.ask("perfect.cmd.test.fail", {})
    with pytest.raises(ServiceUnavailable, match=r"perfect\.cmd\.test\.nobody"):
        await bus.ask("perfect.cmd.test.nobody", {}, timeout_s=0.2)


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


async def test_a_refused_guard_leaves_no_trace(bus: Bus) -> None:
    guard = Guard(subjects.run("r"), 41)
    assert guard_headers(subjects.task("r"), guard) == {
        "Nats-Expected-Last-Subject-Sequence": "41",
        "Nats-Expected-Last-Subject-Sequence-Subject": subjects.run("r"),
    }
    ack = await bus.outbox.send(
        subjects.task("r"), b"{}", ids.uuid7(), headers=guard_headers(subjects.task("r"), guard)
    )
    assert ack.error is not None
    assert await bus.read_raw(subjects.task("r")) == []
