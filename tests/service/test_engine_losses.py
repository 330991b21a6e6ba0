"""Workers that go, runs that are lost: leases, the next epoch, what is given up."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from engine_asked import end
from fake_worker import Worker, register, trigger, types, until

from perfect_bus import Guard, append
from perfect_engine.service import EngineService
from perfect_schemas import ids, subjects
from perfect_schemas.envelope import utc_now
from perfect_schemas.events import RunLost, RunRetrying, RunScheduled, RunStarted

LEASE_S = 2.5  # in which somebody renews, however busy the machine is


@pytest.fixture
def settings(settings):
    return msgspec.structs.replace(settings, lease_s=1.0, cancel_grace_s=0.1)


async def test_lease_lost_means_the_next_epoch(bus, engine):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30).connect()
    run = await trigger(bus, "etl")
    claimed = await worker.start("etl")
    await worker.task(claimed)
    worker.lease_s = 1
    await worker.renew()  # for the last time
    lost_at, lost = await until(bus, run.run_id, "lost")
    assert lost.client_id == worker.id
    other = await Worker(bus, "etl", lease_s=30).connect()
    hand_over = await other.take("etl")
    assert (hand_over.epoch, hand_over.replay) == (2, True)
    await until(bus, run.run_id, "queued", after=lost_at)
    await other.complete(await other.claim(hand_over))
    assert await types(bus, run.run_id) == [
        "scheduled", "queued", "started", "lost", "queued", "started", "completed",
    ]  # fmt: skip


async def test_good_bye_counts_at_once(bus, engine, settings):
    await register(bus, "etl")
    await asyncio.sleep(settings.lease_s)  # the engine's own start
    worker = await Worker(bus, "etl", lease_s=30).connect()
    run = await trigger(bus, "etl")
    await worker.start("etl")
    began = asyncio.get_running_loop().time()
    await worker.leave()
    await until(bus, run.run_id, "lost")
    assert asyncio.get_running_loop().time() - began < worker.lease_s / 2


async def test_outage_of_the_bus_loses_nobody(bus, registry, start_service, settings, nats_server):
    """The key expires while the server is down; the client renews as soon as it can."""
    patient = msgspec.structs.replace(settings, lease_s=LEASE_S)
    await start_service(EngineService, settings=patient)
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30).connect()
    run = await trigger(bus, "etl")
    claimed = await worker.start("etl")
    worker.lease_s = 1
    await worker.renew()
    nats_server.kill()
    await asyncio.sleep(1.5)
    nats_server.start()
    worker.lease_s = 30
    await worker.renew()
    await asyncio.sleep(LEASE_S + 0.5)
    await worker.complete(claimed)
    assert await types(bus, run.run_id) == ["scheduled", "queued", "started", "completed"]


async def test_engine_restart_gives_a_full_lease(bus, engine, start_service, settings):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30).connect()
    run = await trigger(bus, "etl")
    claimed = await worker.start("etl")
    await end(engine)
    await worker.leave()
    await start_service(EngineService, settings=msgspec.structs.replace(settings, lease_s=LEASE_S))
    await asyncio.sleep(0.4)
    await worker.renew()
    await asyncio.sleep(LEASE_S + 0.5)
    await worker.complete(claimed)
    assert "lost" not in await types(bus, run.run_id)


async def test_three_losses_without_progress_crash_the_run(bus, engine):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30).connect()
    run = await trigger(bus, "etl")

    async def lose():
        claimed = await worker.start("etl")
        event = RunLost(
            id=ids.uuid7(),
            at=utc_now(),
            source="worker:w",
            run_id=run.run_id,
            client_id=worker.id,
            reason="executor died",
        )
        await append(bus, subjects.run(run.run_id), event, Guard(subjects.run(run.run_id), claimed.seq))

    await lose()
    await lose()
    claimed = await worker.start("etl")
    await worker.task(claimed)
    event = RunLost(
        id=ids.uuid7(),
        at=utc_now(),
        source="worker:w",
        run_id=run.run_id,
        client_id=worker.id,
        reason="executor died",
    )
    await append(bus, subjects.run(run.run_id), event, Guard(subjects.run(run.run_id), claimed.seq))
    await lose()
    await lose()
    await lose()
    _, crashed = await until(bus, run.run_id, "crashed")
    assert "3 times in a row" in crashed.reason
    assert "executor died" in crashed.reason


async def local_run(bus, worker):
    run_id = ids.uuid7()
    subject = subjects.run(run_id)
    seq = await append(
        bus,
        subject,
        RunScheduled(
            id=ids.uuid7(), at=utc_now(), source="s", run_id=run_id, flow_id=ids.flow_id("etl"), flow_name="etl",
            origin="local",
        ),
        Guard(subject, 0),
    )  # fmt: skip
    await append(
        bus,
        subject,
        RunStarted(id=ids.uuid7(), at=utc_now(), source="s", run_id=run_id, epoch=1, client_id=worker.id),
        Guard(subject, seq),
    )
    return run_id


async def test_local_run_is_lost(bus, engine):
    await register(bus, "etl")
    script = await Worker(bus, slots=0, lease_s=1).connect()
    run_id = await local_run(bus, script)
    _, crashed = await until(bus, run_id, "crashed")
    assert "no worker serves flow 'etl'" in crashed.reason
    assert "queued" not in await types(bus, run_id)


async def test_local_run_goes_on_at_a_worker(bus, engine):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30).connect()
    script = await Worker(bus, slots=0, lease_s=1).connect()
    run_id = await local_run(bus, script)
    hand_over = await worker.take("etl")
    assert (hand_over.run_id, hand_over.epoch, hand_over.replay) == (run_id, 2, True)


async def test_retry_delay(bus, engine):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30).connect()
    run = await trigger(bus, "etl")
    claimed = await worker.start("etl")
    subject = subjects.run(run.run_id)
    due = utc_now() + timedelta(seconds=0.5)
    await append(
        bus,
        subject,
        RunRetrying(
            id=ids.uuid7(), at=utc_now(), source="w", run_id=run.run_id, epoch=1, tries=1, due_at=due
        ),
        Guard(subject, claimed.seq),
    )
    hand_over = await worker.take("etl")
    assert utc_now() >= due
    assert hand_over.epoch == 2


async def test_local_run_that_never_began(bus, engine):
    run_id = ids.uuid7()
    subject = subjects.run(run_id)
    scheduled = RunScheduled(
        id=ids.uuid7(),
        at=utc_now(),
        source="s",
        run_id=run_id,
        flow_id=ids.uuid7(),
        flow_name="x",
        origin="local",
    )
    await append(bus, subject, scheduled, Guard(subject, 0))
    _, crashed = await until(bus, run_id, "crashed")
    assert "before the run began" in crashed.reason


async def test_hand_over_that_got_lost_is_made_again(bus, engine, monkeypatch):
    monkeypatch.setattr("perfect_engine.dispatch.AGAIN_S", 2.0)
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30).connect()
    run = await trigger(bus, "etl")
    first = await worker.take("etl")  # acknowledged and dropped
    second = await worker.take("etl")
    assert (second.run_id, second.epoch) == (run.run_id, 1)
    assert second.queued_seq > first.queued_seq
    assert await worker.claim(first) is None
    await worker.complete(await worker.claim(second))
