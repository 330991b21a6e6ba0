"""The engine on a real nats-server, with a worker that speaks the protocol and runs no code."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from engine_asked import cancel, end, waiting
from fake_worker import Worker, register, trigger, types, until

from perfect_bus import Guard, append
from perfect_engine.service import EngineService
from perfect_schemas import ids, subjects
from perfect_schemas.commands import LiveRuns
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import Conflicting, InvalidInput, NotFound, TooLarge
from perfect_schemas.events import RunScheduled, RunStarted

SCHEMA = {
    "type": "object",
    "properties": {"day": {"type": "string"}, "n": {"type": "integer"}},
    "required": ["day"],
}


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
    due = utc_now() + timedelta(seconds=3)
    run = await trigger(bus, "etl", scheduled_for=due)
    assert run.state == "SCHEDULED"
    assert (await waiting(bus, run.run_id)).startswith("scheduled for ")
    assert (await worker.take("etl")).run_id == run.run_id
    _, queued = await until(bus, run.run_id, "queued")
    assert queued.at >= due
    assert await types(bus, run.run_id) == ["scheduled", "queued"]


async def test_due_while_the_engine_was_dead(bus, engine, start_service):
    await register(bus, "etl")
    due = utc_now() + timedelta(seconds=2)
    run = await trigger(bus, "etl", scheduled_for=due)
    await end(engine)
    await asyncio.sleep((due - utc_now()).total_seconds() + 0.2)
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
    while (await bus.js.stream_info("WORK")).state.messages:
        assert await worker.claim(await worker.take("etl")) is None


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


async def test_newest_version_counts_at_once(bus, engine):
    """The engine may not have heard of it yet: it looks before it says no."""
    for n in range(20):
        await register(bus, f"f{n}", flow_version="1", parameters={"type": "object", "properties": {}})
        await trigger(bus, f"f{n}")
        await register(bus, f"f{n}", flow_version="2", parameters=SCHEMA)
        run = await trigger(bus, f"f{n}", parameters={"day": "x"})
        assert run.flow_version == "2"
