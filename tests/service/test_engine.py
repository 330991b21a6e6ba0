"""The engine on a real nats-server, with a worker that speaks the protocol and runs no code."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from fake_worker import Worker, register, trigger, types, until

from perfect_bus import Guard, append
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_schemas import ids, subjects
from perfect_schemas.commands import CancelRun, Control, LiveRuns
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import Conflicting, InvalidInput, NotFound, TooLarge
from perfect_schemas.events import RunLost, RunRetrying, RunScheduled, RunStarted
from perfect_schemas.queries import RunDetail

SCHEMA = {
    "type": "object",
    "properties": {"day": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["day"],
}


@pytest.fixture
def settings(settings):
    return msgspec.structs.replace(settings, lease_s=1.0, cancel_grace_s=0.1)


@pytest.fixture
async def registry(start_service):
    return await start_service(RegistryService)


@pytest.fixture
async def engine(start_service, registry):
    return await start_service(EngineService)


async def end(service):
    """As if its process had been killed: no good-bye, nothing flushed."""
    await service.context.cancel_spawned()
    await service.stop()
    await service.bus.nc.close()


async def waiting(bus, run_id):
    return msgspec.json.decode((await bus.ask(subjects.query("waiting"), RunDetail(run_id=run_id))).value)


async def cancel(bus, run_id):
    await bus.ask(subjects.command("engine", "cancel"), CancelRun(run_id=run_id, by="ann"))


async def test_a_run_from_trigger_to_end(bus, engine):
    await register(bus, "etl", flow_version="v1", parameters=SCHEMA)
    worker = await Worker(bus, "etl").connect()
    run = await trigger(bus, "etl", parameters={"day": "today"}, configuration="debug", tags=["a"])
    assert run.flow_id == ids.flow_id("etl")
    assert run.flow_version == "v1"
    hand_over = await worker.take("etl")
    assert (hand_over.run_id, hand_over.epoch, hand_over.replay) == (run.run_id, 1, False)
    assert (hand_over.parameters, hand_over.configuration) == ({"day": "today"}, "debug")
    claimed = await worker.claim(hand_over)
    await worker.complete(claimed)
    assert await types(bus, run.run_id) == ["scheduled", "queued", "started", "completed"]


async def test_every_run_is_queued_once_however_busy_the_stream_is(bus, engine):
    await register(bus, "etl")
    busy = True

    async def write() -> None:
        while busy:
            run_id = ids.uuid7()
            event = RunStarted(
                id=ids.uuid7(), at=utc_now(), source="test", run_id=run_id, client_id="c", epoch=1
            )
            await append(bus, subjects.run(run_id), event, Guard(subjects.run(run_id), 0))

    writers = [asyncio.create_task(write()) for _ in range(3)]
    runs = await asyncio.gather(*(trigger(bus, "etl") for _ in range(30)))
    for run in runs:
        await until(bus, run.run_id, "queued")
    busy = False
    await asyncio.gather(*writers)
    assert [await types(bus, run.run_id) for run in runs] == [["scheduled", "queued"]] * 30


async def test_by_id_and_by_name(bus, engine):
    flow = await register(bus, "etl")
    assert (await trigger(bus, flow.flow_id)).flow_name == "etl"
    assert (await trigger(bus, "etl")).flow_id == flow.flow_id


async def test_unknown_flow(bus, engine):
    with pytest.raises(NotFound, match="no flow 'nothing'"):
        await trigger(bus, "nothing")


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({}, ["parameters.day"]),
        ({"day": 1, "n": "x"}, ["parameters.day", "parameters.n"]),
        ({"day": "x", "other": 1}, ["parameters.other"]),
    ],
)
async def test_wrong_parameters_name_every_field(bus, engine, parameters, fields):
    await register(bus, "etl", parameters=SCHEMA)
    with pytest.raises(InvalidInput) as caught:
        await trigger(bus, "etl", parameters=parameters)
    assert [error.field for error in caught.value.errors] == fields


async def test_wrong_configuration(bus, engine):
    await register(bus, "etl")
    with pytest.raises(InvalidInput) as caught:
        await trigger(bus, "etl", configuration="fast")
    assert caught.value.errors[0].field == "configuration"


async def test_too_large_writes_nothing(bus, engine):
    await register(bus, "etl")
    run_id = ids.uuid7()
    with pytest.raises(TooLarge):
        await trigger(
            bus, "etl", run_id=run_id, parameters={"x": "x" * (8 * 1024 * 1024 - 4300)}, idempotency_key="k"
        )
    assert await types(bus, run_id) == []
    await trigger(bus, "etl", idempotency_key="k")


async def test_repeated_command_makes_one_run(bus, engine):
    await register(bus, "etl")
    run_id = ids.uuid7()
    answers = await asyncio.gather(*(trigger(bus, "etl", run_id=run_id) for _ in range(10)))
    assert {answer.run_id for answer in answers} == {run_id}
    assert (await types(bus, run_id)).count("scheduled") == 1
    worker = await Worker(bus, "etl").connect()
    await worker.complete(await worker.start("etl"))
    assert (await trigger(bus, "etl", run_id=run_id)).created_at == answers[0].created_at


async def test_idempotency_key(bus, engine):
    await register(bus, "etl")
    first = await trigger(bus, "etl", idempotency_key="k", parameters={"a": 1, "b": 2})
    again = await trigger(bus, "etl", idempotency_key="k", parameters={"b": 2, "a": 1})
    assert first.new
    assert not again.new
    assert first.run_id == again.run_id
    with pytest.raises(Conflicting, match=first.run_id):
        await trigger(bus, "etl", idempotency_key="k", parameters={"a": 2})
    assert (await trigger(bus, "etl", idempotency_key="other")).new


async def test_slots_bound_what_is_handed_over(bus, engine):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", slots=2, lease_s=30).connect()
    runs = [await trigger(bus, "etl") for _ in range(6)]
    claims = [await worker.start("etl") for _ in range(2)]
    await worker.take("etl")  # the one ahead
    with pytest.raises(TimeoutError):
        await worker.take("etl", timeout=0.3)
    assert await waiting(bus, runs[-1].run_id) == (
        "all 2 slots of the worker that serves flow 'etl' are taken: 2 by flow 'etl'"
    )
    await worker.complete(claims[0])
    await worker.take("etl")


async def test_nothing_goes_out_before_a_worker_is_there(bus, engine):
    await register(bus, "etl")
    run = await trigger(bus, "etl")
    await until(bus, run.run_id, "queued")
    assert await waiting(bus, run.run_id) == "no worker serves flow 'etl'"
    assert (await bus.js.stream_info("WORK")).state.messages == 0
    worker = await Worker(bus, "etl").connect()
    assert (await worker.take("etl")).run_id == run.run_id


async def test_priority_then_age(bus, engine):
    await register(bus, "etl")
    low = [await trigger(bus, "etl") for _ in range(2)]
    high = await trigger(bus, "etl", priority=5)
    await until(bus, high.run_id, "queued")
    worker = await Worker(bus, "etl", slots=3).connect()
    assert [(await worker.take("etl")).run_id for _ in range(3)] == [
        high.run_id,
        *(run.run_id for run in low),
    ]


async def test_scheduled_for_later(bus, engine):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30).connect()
    due = utc_now() + timedelta(seconds=1)
    run = await trigger(bus, "etl", scheduled_for=due)
    assert run.state == "SCHEDULED"
    assert (await waiting(bus, run.run_id)).startswith("scheduled for ")
    assert (await worker.take("etl")).run_id == run.run_id
    _, queued = await until(bus, run.run_id, "queued")
    assert 0 <= (queued.at - due).total_seconds() < 1.5
    assert await types(bus, run.run_id) == ["scheduled", "queued"]


async def test_due_while_the_engine_was_dead(bus, engine, start_service):
    await register(bus, "etl")
    run = await trigger(bus, "etl", scheduled_for=utc_now() + timedelta(seconds=0.5))
    await end(engine)
    await asyncio.sleep(0.8)
    assert await types(bus, run.run_id) == ["scheduled"]
    await start_service(EngineService)
    await until(bus, run.run_id, "queued")
    assert await types(bus, run.run_id) == ["scheduled", "queued"]


async def test_engine_killed_between_the_steps(bus, engine, start_service):
    """Whatever the last step was, the next engine goes on from it."""
    await register(bus, "etl")
    await end(engine)
    flow_id = ids.flow_id("etl")
    run_id = ids.uuid7()
    scheduled = RunScheduled(
        id=ids.uuid7(), at=utc_now(), source="engine", run_id=run_id, flow_id=flow_id, flow_name="etl"
    )
    await append(bus, subjects.run(run_id), scheduled, Guard(subjects.run(run_id), 0))
    second = await start_service(EngineService)
    await until(bus, run_id, "queued")
    await end(second)
    worker = await Worker(bus, "etl", lease_s=30).connect()
    third = await start_service(EngineService)
    claimed = await worker.start("etl")
    await end(third)
    await start_service(EngineService)
    await worker.complete(claimed)
    assert await types(bus, run_id) == ["scheduled", "queued", "started", "completed"]


async def test_two_engines_decide_once(bus, engine, start_service):
    await start_service(EngineService)
    await register(bus, "etl")
    worker = await Worker(bus, "etl", slots=30, lease_s=30).connect()
    runs = await asyncio.gather(*(trigger(bus, "etl") for _ in range(20)))
    for _ in runs:
        await worker.complete(await worker.start("etl"))
    for run in runs:
        assert await types(bus, run.run_id) == ["scheduled", "queued", "started", "completed"]
    assert (await bus.js.stream_info("WORK")).state.messages == 0


async def test_lease_lost_means_the_next_epoch(bus, engine):
    await register(bus, "etl")
    worker = await Worker(bus, "etl").connect()
    run = await trigger(bus, "etl")
    claimed = await worker.start("etl")
    await worker.task(claimed)
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
    assert asyncio.get_running_loop().time() - began < 0.5


async def test_outage_of_the_bus_loses_nobody(bus, engine, nats_server):
    """The key expires while the server is down; the client renews as soon as it can."""
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=1).connect()
    run = await trigger(bus, "etl")
    claimed = await worker.start("etl")
    nats_server.kill()
    await asyncio.sleep(1.5)
    nats_server.start()
    for _ in range(8):
        await worker.renew()
        await asyncio.sleep(0.3)
    await worker.complete(claimed)
    assert await types(bus, run.run_id) == ["scheduled", "queued", "started", "completed"]


async def test_engine_restart_gives_a_full_lease(bus, engine, start_service):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=1).connect()
    run = await trigger(bus, "etl")
    claimed = await worker.start("etl")
    await end(engine)
    await asyncio.sleep(1.3)
    await start_service(EngineService)
    await asyncio.sleep(0.4)
    await worker.renew()
    await asyncio.sleep(0.8)
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
    hand_over = await worker.take("etl", timeout=10)
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


async def test_cancel_before_it_runs(bus, engine):
    await register(bus, "etl")
    run = await trigger(bus, "etl", scheduled_for=utc_now() + timedelta(hours=1))
    await cancel(bus, run.run_id)
    assert await types(bus, run.run_id) == ["scheduled", "cancelled"]
    with pytest.raises(Conflicting, match="has ended already"):
        await cancel(bus, run.run_id)
    with pytest.raises(NotFound):
        await cancel(bus, ids.uuid7())


async def test_cancel_while_it_runs(bus, engine):
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
    assert await asyncio.wait_for(told.get(), 2) == Control(verb="cancel", run_id=run.run_id)
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


async def test_live_runs(bus, engine):
    flow = await register(bus, "etl")
    run = await trigger(bus, "etl")

    async def live():
        reply = await bus.ask(subjects.command("engine", "live"), LiveRuns(flow_id=flow.flow_id))
        return msgspec.json.decode(reply.value)

    assert await live() == [run.run_id]
    await cancel(bus, run.run_id)
    assert await live() == []


async def test_survives_a_kill_of_nats(bus, engine, nats_server):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", slots=20, lease_s=30).connect()
    nats_server.kill()
    command = asyncio.create_task(trigger(bus, "etl"))
    await asyncio.sleep(0.3)
    nats_server.start()
    run = await command
    await worker.complete(await worker.start("etl"))
    assert await types(bus, run.run_id) == ["scheduled", "queued", "started", "completed"]


async def test_starts_with_many_finished_runs(bus, engine, start_service):
    await register(bus, "etl")
    worker = await Worker(bus, "etl", slots=300, lease_s=30).connect()
    runs = await asyncio.gather(*(trigger(bus, "etl") for _ in range(50)))
    for _ in runs[:-1]:
        await worker.complete(await worker.start("etl"))
    await end(engine)
    again = await start_service(EngineService)
    assert len(again.process.board.runs) == 1
    assert again.health().metrics["live_runs"] == 1
    await worker.complete(await worker.start("etl"))


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
    monkeypatch.setattr("perfect_engine.dispatch.AGAIN_S", 0.3)
    await register(bus, "etl")
    worker = await Worker(bus, "etl", lease_s=30).connect()
    run = await trigger(bus, "etl")
    first = await worker.take("etl")  # acknowledged and dropped
    second = await worker.take("etl")
    assert (second.run_id, second.epoch) == (run.run_id, 1)
    assert second.queued_seq > first.queued_seq
    assert await worker.claim(first) is None
    await worker.complete(await worker.claim(second))


async def test_newest_version_counts_at_once(bus, engine):
    """The engine may not have heard of it yet: it looks before it says no."""
    for n in range(20):
        await register(bus, f"f{n}", flow_version="1", parameters={"type": "object", "properties": {}})
        await trigger(bus, f"f{n}")
        await register(bus, f"f{n}", flow_version="2", parameters=SCHEMA)
        run = await trigger(bus, f"f{n}", parameters={"day": "x"})
        assert run.flow_version == "2"
