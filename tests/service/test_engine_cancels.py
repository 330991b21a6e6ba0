"""Runs that are cancelled, and child runs that end with their parents."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from engine_asked import cancel, end
from fake_worker import Worker, register, trigger, types, until

from perfect_bus import Guard, append
from perfect_engine.service import EngineService
from perfect_schemas import ids, subjects
from perfect_schemas.commands import Control
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import Conflicting, NotFound
from perfect_schemas.events import RunScheduled, RunStarted


@pytest.fixture
def settings(settings):
    return msgspec.structs.replace(settings, lease_s=1.0, cancel_grace_s=0.1)


async def test_cancel_before_it_runs(bus, engine):
    await register(bus, "etl")
    run = await trigger(bus, "etl", scheduled_for=utc_now() + timedelta(hours=1))
    await cancel(bus, run.run_id)
    assert await types(bus, run.run_id) == ["scheduled", "cancelled"]
    with pytest.raises(Conflicting, match="has ended already"):
        await cancel(bus, run.run_id)
    with pytest.raises(NotFound):
        await cancel(bus, ids.uuid7())


async def test_cancel_while_it_runs(bus, registry, start_service, settings):
    """A second command that comes within the grace is no mistake."""
    await start_service(EngineService, settings=msgspec.structs.replace(settings, cancel_grace_s=3.0))
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30).connect()
    told = asyncio.Queue()

    async def heard(msg):
        told.put_nowait(msgspec.json.decode(msg.data, type=Control))

    await bus.nc.subscribe(subjects.control(worker.id), cb=heard)
    run = await trigger(bus, "etl")
    await worker.start("etl")
    await cancel(bus, run.run_id)
    await cancel(bus, run.run_id)
    assert await asyncio.wait_for(told.get(), 30) == Control(verb="cancel", run_id=run.run_id)
    _, cancelled = await until(bus, run.run_id, "cancelled")  # the worker does nothing: after the grace
    assert "grace" in cancelled.reason
    assert await types(bus, run.run_id) == ["scheduled", "queued", "started", "cancelling", "cancelled"]


async def test_lost_while_cancelling_is_cancelled(bus, engine, settings):
    await register(bus, "etl")
    await asyncio.sleep(settings.lease_s)
    worker = await Worker(bus, "etl", lease_s=30).connect()
    run = await trigger(bus, "etl")
    await worker.start("etl")
    await cancel(bus, run.run_id)
    await worker.leave()
    _, cancelled = await until(bus, run.run_id, "cancelled")
    assert "lost" in cancelled.reason


async def child_run(bus, parent, worker):
    run_id = ids.child_run_id(parent.run_id, "child-0")
    subject = subjects.run(run_id)
    common = {"at": utc_now(), "source": "w", "run_id": run_id}
    scheduled = RunScheduled(
        id=ids.uuid7(), flow_id=ids.flow_id("inner"), flow_name="inner", origin="child",
        parent_run_id=parent.run_id, **common,
    )  # fmt: skip
    seq = await append(bus, subject, scheduled, Guard(subject, 0))
    started = RunStarted(id=ids.uuid7(), epoch=1, client_id=worker.id, **common)
    await append(bus, subject, started, Guard(subject, seq))
    return run_id


@pytest.mark.parametrize("is_dead", [False, True])
async def test_child_run_ends_with_its_parent(bus, engine, start_service, is_dead):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30).connect()
    run = await trigger(bus, "etl")
    claimed = await worker.start("etl")
    child_id = await child_run(bus, claimed, worker)
    if is_dead:
        await end(engine)
    await worker.complete(claimed)
    if is_dead:
        await start_service(EngineService)
    _, crashed = await until(bus, child_id, "crashed")
    assert run.run_id in crashed.reason
    assert "queued" not in await types(bus, child_id)


async def test_child_run_takes_no_slot_and_is_never_queued(bus, engine, settings):
    await register(bus, "etl")
    await asyncio.sleep(settings.lease_s)
    worker = await Worker(bus, "etl", slots=2, lease_s=30).connect()
    await trigger(bus, "etl")
    claimed = await worker.start("etl")
    child_id = await child_run(bus, claimed, worker)
    for _ in range(2):
        await trigger(bus, "etl")
        await worker.take("etl")
    await worker.leave()
    lost_at, _ = await until(bus, child_id, "lost")
    await until(bus, claimed.run_id, "queued", after=lost_at - 2)
    assert await types(bus, child_id) == ["scheduled", "started", "lost"]
