"""The protocol on a real nats-server: append, guards, claim."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from perfect_bus import Bus, Conflict, Guard, append
from perfect_bus.append import append_pair, guard_headers
from perfect_bus.claim import Claim, claim, read_history, start_epoch
from perfect_runtime.natsd import NatsServer
from perfect_schemas import codec, ids, streams, subjects
from perfect_schemas.commands import HandOver
from perfect_schemas.envelope import StoredValue, utc_now
from perfect_schemas.errors import (
    BusUnavailable,
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
