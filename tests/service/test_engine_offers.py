"""The engine offers a run to a worker that has room; who does not claim it leaves it to whoever takes it from WORK."""

import asyncio
from typing import Any

import msgspec
import pytest
from eventually import eventually
from fake_worker import Worker, register, trigger, types, until

from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_schemas import subjects
from perfect_schemas.commands import HandOver


@pytest.fixture
async def engine(start_service: Any) -> Any:
    await start_service(RegistryService)
    return await start_service(EngineService)


class Offered(Worker):
    """It hears what it is offered."""

    async def connect(self) -> "Offered":
        self.presence = msgspec.structs.replace(self.presence, takes_offers=True)
        self.heard: asyncio.Queue[HandOver] = asyncio.Queue()

        async def hear(msg: Any) -> None:
            self.heard.put_nowait(msgspec.json.decode(msg.data, type=HandOver))

        await self.bus.nc.subscribe(subjects.control_run(self.id), cb=hear)
        await super().connect()
        return self

    async def offered(self) -> HandOver:
        return await asyncio.wait_for(self.heard.get(), 60)


async def known(engine: Any, *workers: Worker) -> None:
    """The engine has heard of them."""
    wanted = {worker.id for worker in workers}
    await eventually(lambda: {one.client_id for one in engine.process.dispatch.workers()} >= wanted)


async def on_work(bus: Any) -> int:
    return (await bus.js.stream_info("WORK")).state.messages


async def test_a_run_is_offered_with_its_events_and_does_not_go_by_work(bus, engine):
    await register(bus, "etl")
    worker = await Offered(bus, "etl").connect()
    await known(engine, worker)
    run = await trigger(bus, "etl", parameters={"day": "today"})
    offer = await worker.offered()
    assert (offer.run_id, offer.epoch, offer.parameters) == (run.run_id, 1, {"day": "today"})
    claimed = await worker.claim(offer)
    assert claimed is not None
    await worker.complete(claimed)
    assert await types(bus, run.run_id) == ["scheduled", "queued", "started", "completed"]
    assert (await on_work(bus), engine.process.board.offered, engine.process.board.unanswered) == (0, {}, {})


async def test_what_is_offered_and_not_claimed_comes_by_work(bus, engine):
    """Its worker is gone, and nobody knows it yet."""
    await register(bus, "etl")
    worker = await Offered(bus, "etl", slots=3).connect()
    other = Worker(bus, "etl")
    await known(engine, worker)
    run = await trigger(bus, "etl")
    first = await worker.offered()
    await other.connect()
    hand_over = await other.take("etl")
    assert hand_over.run_id == run.run_id
    claimed = await other.claim(hand_over)
    assert claimed is not None
    assert await worker.claim(first) is None  # it wakes up and is late
    await other.complete(claimed)
    assert await types(bus, run.run_id) == ["scheduled", "queued", "started", "completed"]


async def test_a_full_worker_is_offered_one_more_and_the_rest_waits(bus, engine):
    await register(bus, "etl")
    worker = await Offered(bus, "etl", slots=2).connect()
    await known(engine, worker)
    runs = [await trigger(bus, "etl") for _ in range(5)]
    claims = [await worker.claim(await worker.offered()) for _ in range(2)]
    third = await worker.offered()
    assert third.run_id == runs[2].run_id
    for run in runs:
        await until(bus, run.run_id, "queued")
    assert worker.heard.empty()
    await worker.complete(claims[0])
    assert await worker.claim(third) is not None
    assert (await worker.offered()).run_id == runs[3].run_id


async def test_a_run_that_was_lost_is_offered_again(bus, engine):
    await register(bus, "etl")
    worker = await Offered(bus, "etl", lease_s=1).connect()
    await known(engine, worker)
    run = await trigger(bus, "etl")
    assert await worker.claim(await worker.offered()) is not None
    await until(bus, run.run_id, "lost")
    second = await Offered(bus, "etl").connect()
    offer = await second.offered()
    assert (offer.run_id, offer.epoch, offer.replay, offer.queued_id) == (run.run_id, 2, True, None)
    assert await second.claim(offer) is not None


async def test_runs_are_spread_over_those_with_room(bus, engine):
    await register(bus, "etl")
    workers = [await Offered(bus, "etl", slots=4).connect() for _ in range(2)]
    await known(engine, *workers)
    for _ in range(8):
        await trigger(bus, "etl")
    for worker in workers:
        for _ in range(4):
            assert await worker.claim(await worker.offered()) is not None
