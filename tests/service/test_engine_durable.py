"""Runs that stand still and go on: sleep, pause, child runs, retry, fork; with the engine killed in between."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from engine_asked import end, waiting
from fake_worker import Worker, register, trigger, types, until

from perfect_bus import Guard, append
from perfect_bus.claim import read_history
from perfect_engine.service import EngineService
from perfect_schemas import ids, subjects
from perfect_schemas.commands import CancelRun, ForkRun, ResumeRun, RetryRun, Triggered
from perfect_schemas.envelope import utc_now
from perfect_schemas.errors import Conflicting, InvalidInput, NotFound
from perfect_schemas.events import RunScheduled, RunStarted
from perfect_schemas.states import RunState

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


@pytest.fixture
def settings(settings):
    return msgspec.structs.replace(settings, lease_s=1.0, cancel_grace_s=0.1)


@pytest.fixture
async def worker(bus, engine):
    await register(bus, "etl", flow_version="v1")
    return await Worker(bus, "etl", slots=5, lease_s=60).connect()


async def ask(bus, verb, command):
    return await bus.ask(subjects.command("engine", verb), command)


async def started(bus, worker, **command):
    await trigger(bus, "etl", **command)
    return await worker.start("etl")


async def fork(bus, origin, **fields):
    command = ForkRun(run_id=ids.uuid7(), origin_run_id=origin, by="ann", **fields)
    reply = await ask(bus, "fork", command)
    return msgspec.json.decode(reply.value, type=Triggered).run_id


async def test_sleep_ends_by_itself(bus, worker):
    claimed = await started(bus, worker)
    wake_at = utc_now() + timedelta(seconds=0.5)
    await worker.suspend(claimed, "sleep", key="sleep-0", wake_at=wake_at)
    hand_over = await worker.take("etl")
    assert utc_now() >= wake_at
    assert (hand_over.epoch, hand_over.replay) == (2, True)
    again = await worker.claim(hand_over)
    await worker.suspend(again, "sleep", key="sleep-1", wake_at=utc_now() + timedelta(seconds=2))
    assert "sleeps until" in await waiting(bus, claimed.run_id)
    await worker.complete(await worker.start("etl"))
    assert await types(bus, claimed.run_id) == [
        "scheduled", "queued", "started", "suspended", "resumed", "queued", "started", "suspended", "resumed",
        "queued", "started", "completed",
    ]  # fmt: skip


@pytest.mark.parametrize("is_due", [False, True])
async def test_sleep_ends_once_although_the_engine_dies(bus, engine, worker, start_service, is_due):
    claimed = await started(bus, worker)
    wake_at = utc_now() + timedelta(seconds=2)
    await worker.suspend(claimed, "sleep", key="sleep-0", wake_at=wake_at)
    await end(engine)
    if is_due:
        await asyncio.sleep((wake_at - utc_now()).total_seconds() + 0.2)
    await start_service(EngineService)
    await worker.complete(await worker.start("etl"))
    assert (await types(bus, claimed.run_id)).count("resumed") == 1


async def test_two_engines_wake_once(bus, worker, start_service):
    await start_service(EngineService)
    claimed = await started(bus, worker)
    await worker.suspend(claimed, "sleep", key="sleep-0", wake_at=utc_now() + timedelta(seconds=0.3))
    await worker.complete(await worker.start("etl"))
    assert (await types(bus, claimed.run_id)).count("resumed") == 1


async def test_resume_with_input(bus, worker):
    claimed = await started(bus, worker)
    await worker.suspend(claimed, "input", key="pause-0", input_schema=SCHEMA)
    await until(bus, claimed.run_id, "suspended")
    assert await waiting(bus, claimed.run_id) == "paused: waits for input"
    with pytest.raises(InvalidInput) as caught:
        await ask(bus, "resume", ResumeRun(run_id=claimed.run_id, by="ann", input={"ok": "yes"}))
    assert [error.field for error in caught.value.errors] == ["input.ok"]
    with pytest.raises(InvalidInput) as caught:
        await ask(bus, "resume", ResumeRun(run_id=claimed.run_id, by="ann"))
    assert caught.value.errors[0].field == "input"
    command = ResumeRun(run_id=claimed.run_id, by="ann", input={"ok": True}, event_id=ids.uuid7())
    await ask(bus, "resume", command)
    await ask(bus, "resume", command)  # repeated
    await worker.start("etl")
    history = await read_history(bus, claimed.run_id)
    assert history.waits["pause-0"].input == {"ok": True}
    with pytest.raises(Conflicting, match="RUNNING"):
        await ask(bus, "resume", ResumeRun(run_id=claimed.run_id, by="ann", input={"ok": True}))
    with pytest.raises(NotFound):
        await ask(bus, "resume", ResumeRun(run_id=ids.uuid7(), by="ann"))


async def test_pause_runs_out(bus, worker):
    claimed = await started(bus, worker)
    await worker.suspend(claimed, "input", key="pause-0", wake_at=utc_now() + timedelta(seconds=0.3))
    await worker.start("etl")
    assert (await read_history(bus, claimed.run_id)).waits["pause-0"].timed_out


async def test_pause_again_soon_after(bus, worker):
    claimed = await started(bus, worker)
    for n in range(3):
        await worker.suspend(
            claimed, "input", key=f"pause-{n}", wake_at=utc_now() + timedelta(seconds=0.4 if n == 2 else 60)
        )
        await until(bus, claimed.run_id, "suspended", after=claimed.seq)
        if n < 2:
            await ask(bus, "resume", ResumeRun(run_id=claimed.run_id, by="ann"))
        claimed = await worker.start("etl")
    await worker.complete(claimed)
    assert (await types(bus, claimed.run_id)).count("resumed") == 3


async def test_cancel_while_paused(bus, worker):
    claimed = await started(bus, worker)
    await worker.suspend(claimed, "sleep", key="sleep-0", wake_at=utc_now() + timedelta(hours=1))
    await until(bus, claimed.run_id, "suspended")
    await ask(bus, "cancel", CancelRun(run_id=claimed.run_id, by="ann"))
    assert (await types(bus, claimed.run_id))[-1] == "cancelled"
    with pytest.raises(Conflicting, match="has ended"):
        await ask(bus, "resume", ResumeRun(run_id=claimed.run_id, by="ann"))


async def test_child_run_wakes_its_parent(bus, worker):
    parent = await started(bus, worker)
    child = await started(bus, worker, parent_run_id=parent.run_id)
    await worker.suspend(parent, "child", key=child.run_id)
    await until(bus, parent.run_id, "suspended")
    assert child.run_id in await waiting(bus, parent.run_id)
    await worker.fail(child)
    assert (await worker.start("etl")).run_id == parent.run_id


@pytest.mark.parametrize("is_dead", [False, True])
async def test_child_run_that_ended_before_its_parent_waited(bus, engine, worker, start_service, is_dead):
    parent = await started(bus, worker)
    child = await started(bus, worker, parent_run_id=parent.run_id)
    await worker.complete(child)
    if is_dead:
        await end(engine)
    await worker.suspend(parent, "child", key=child.run_id)
    if is_dead:
        await start_service(EngineService)
    assert (await worker.start("etl")).run_id == parent.run_id


@pytest.mark.parametrize("is_dead", [False, True])
async def test_cancel_takes_queued_child_runs_with_it(bus, engine, worker, start_service, is_dead):
    parent = await started(bus, worker)
    running = await started(bus, worker, parent_run_id=parent.run_id)
    later = await trigger(
        bus, "etl", parent_run_id=parent.run_id, scheduled_for=utc_now() + timedelta(hours=1)
    )
    await worker.suspend(parent, "child", key=running.run_id)
    await until(bus, parent.run_id, "suspended")
    await ask(bus, "cancel", CancelRun(run_id=parent.run_id, by="ann"))
    if is_dead:
        await end(engine)
        await start_service(EngineService)
    await until(bus, later.run_id, "cancelled")
    await until(bus, running.run_id, "cancelling")
    await until(bus, running.run_id, "cancelled")


async def test_an_inline_child_is_cancelled_with_a_paused_parent(bus, worker):
    parent = await started(bus, worker)
    run_id = ids.child_run_id(parent.run_id, "inner-0")
    subject = subjects.run(run_id)
    common = {"at": utc_now(), "source": "w", "run_id": run_id}
    scheduled = RunScheduled(
        id=ids.uuid7(), flow_id=ids.flow_id("inner"), flow_name="inner", origin="child", parent_run_id=parent.run_id,
        **common,
    )  # fmt: skip
    seq = await append(bus, subject, scheduled, Guard(subject, 0))
    start = RunStarted(id=ids.uuid7(), epoch=1, client_id=worker.id, **common)
    await append(bus, subject, start, Guard(subject, seq))
    await worker.suspend(parent, "input", key="pause-0")
    await until(bus, parent.run_id, "suspended")
    await ask(bus, "cancel", CancelRun(run_id=parent.run_id, by="ann"))
    await until(bus, run_id, "cancelled")
    assert await types(bus, run_id) == ["scheduled", "started", "cancelling", "cancelled"]


async def test_a_queued_child_outlives_a_parent_that_ends_otherwise(bus, worker):
    parent = await started(bus, worker)
    child = await started(bus, worker, parent_run_id=parent.run_id)
    await worker.complete(parent)
    await worker.complete(child)
    assert (await types(bus, child.run_id))[-1] == "completed"


async def test_child_of_a_run_that_is_cancelled_already(bus, worker):
    parent = await started(bus, worker)
    await ask(bus, "cancel", CancelRun(run_id=parent.run_id, by="ann"))
    await until(bus, parent.run_id, "cancelled")
    child = await trigger(bus, "etl", parent_run_id=parent.run_id)
    await until(bus, child.run_id, "cancelled")


@pytest.mark.parametrize("is_dead", [False, True])
async def test_retry(bus, engine, worker, start_service, is_dead):
    claimed = await started(bus, worker)
    await worker.task(claimed, "t-0", result=1)
    await worker.task(claimed, "t-1", result=2)
    await worker.fail(claimed)
    await until(bus, claimed.run_id, "failed")
    if is_dead:
        await end(engine)
        await start_service(EngineService)
    with pytest.raises(InvalidInput) as caught:
        await ask(bus, "retry", RetryRun(run_id=claimed.run_id, by="ann", from_key="x-0"))
    assert caught.value.errors[0].field == "from_key"
    command = RetryRun(run_id=claimed.run_id, by="ann", from_key="t-1", event_id=ids.uuid7())
    await ask(bus, "retry", command)
    await ask(bus, "retry", command)  # repeated
    again = await worker.start("etl")
    assert again.epoch == 2
    history = await read_history(bus, claimed.run_id)
    assert [task.key for task in history.recorded()] == ["t-0"]
    assert history.retry_epoch == 1
    with pytest.raises(Conflicting, match="RUNNING"):
        await ask(bus, "retry", RetryRun(run_id=claimed.run_id, by="ann"))
    await worker.complete(again)
    with pytest.raises(Conflicting, match="fork it"):
        await ask(bus, "retry", RetryRun(run_id=claimed.run_id, by="ann"))


async def test_retried_run_survives_the_engine(bus, engine, worker, start_service):
    claimed = await started(bus, worker)
    await worker.fail(claimed)
    await until(bus, claimed.run_id, "failed")
    await ask(bus, "retry", RetryRun(run_id=claimed.run_id, by="ann"))
    await end(engine)
    await start_service(EngineService)
    await worker.complete(await worker.start("etl"))
    assert await types(bus, claimed.run_id) == [
        "scheduled", "queued", "started", "failed", "retried", "queued", "started", "completed",
    ]  # fmt: skip


async def test_fork(bus, worker):
    claimed = await started(bus, worker, parameters={"a": 1, "b": 2}, configuration="debug", tags=["x"])
    for n in range(3):
        await worker.task(claimed, f"t-{n}", result=n, ordinal=n, input_digest=f"d{n}")
    await worker.task(claimed, "t-3")  # without a result that could be kept
    await worker.fail(claimed)
    run_id = await fork(bus, claimed.run_id, from_key="t-2", parameters={"b": 3})
    hand_over = await worker.take("etl")
    assert (hand_over.run_id, hand_over.epoch, hand_over.replay) == (run_id, 1, True)
    assert (hand_over.parameters, hand_over.configuration, hand_over.tags) == (
        {"a": 1, "b": 3},
        "debug",
        ["x"],
    )
    assert await types(bus, run_id) == ["scheduled", "forked", "queued"]
    history = await read_history(bus, run_id)
    assert [(task.key, task.ordinal, task.origin_run_id) for task in history.recorded()] == [
        ("t-0", 0, claimed.run_id),
        ("t-1", 1, claimed.run_id),
    ]
    assert history.run.origin_run_id == claimed.run_id
    assert bytes(history.tasks["t-1"].result.value) == b"1"
    assert history.tasks["t-1"].id == ids.task_run_id(run_id, "t-1")
    await worker.complete(await worker.claim(hand_over))
    second = await fork(bus, run_id)  # a fork of a fork takes over what that took over
    await worker.take("etl")
    assert list((await read_history(bus, second)).tasks) == ["t-0", "t-1"]


async def test_fork_does_not_wait_again_for_what_was_answered(bus, worker):
    claimed = await started(bus, worker)
    await worker.task(claimed, "t-0", result=0)
    await worker.suspend(claimed, "input", key="pause-0")
    await until(bus, claimed.run_id, "suspended")
    await ask(bus, "resume", ResumeRun(run_id=claimed.run_id, by="ann", input="go"))
    claimed = await worker.start("etl")
    await worker.task(claimed, "t-1", result=1)
    await worker.fail(claimed)
    for from_key, known in ((None, {"pause-0"}), ("t-1", {"pause-0"}), ("t-0", set())):
        run_id = await fork(bus, claimed.run_id, from_key=from_key)
        await worker.complete(await worker.start("etl"))
        assert set((await read_history(bus, run_id)).waits) == known


async def test_fork_is_refused(bus, worker):
    with pytest.raises(NotFound):
        await fork(bus, ids.uuid7())
    await register(
        bus, "etl", flow_version="v2", parameters={"type": "object", "properties": {"n": {"type": "integer"}}}
    )
    claimed = await started(bus, worker)
    await worker.complete(claimed)
    with pytest.raises(InvalidInput) as caught:
        await fork(bus, claimed.run_id, parameters={"n": "x"})
    assert caught.value.errors[0].field == "parameters.n"
    with pytest.raises(InvalidInput):
        await fork(bus, claimed.run_id, from_key="nothing-0")


@pytest.mark.parametrize("adopted", [0, 1, 2])
async def test_engine_killed_in_the_middle_of_a_fork(bus, engine, worker, start_service, adopted):
    claimed = await started(bus, worker)
    for n in range(2):
        await worker.task(claimed, f"t-{n}", result=n)
    await worker.complete(claimed)
    await end(engine)
    run_id = ids.uuid7()
    subject = subjects.run(run_id)
    scheduled = RunScheduled(
        id=ids.uuid7(), at=utc_now(), source="engine", run_id=run_id, flow_id=ids.flow_id("etl"), flow_name="etl",
        origin="fork", fork_of=claimed.run_id,
    )  # fmt: skip
    seq = await append(bus, subject, scheduled, Guard(subject, 0))
    from perfect_engine import fork as rules
    from perfect_engine.run import Stamp

    life = (await read_history(bus, run_id)).run
    origin = await read_history(bus, claimed.run_id)
    tasks = rules.taken(origin, None, is_changed=False)
    for event in rules.adoptions(life, tasks, {}, Stamp(utc_now(), "x"))[:adopted]:
        await append(bus, subjects.task(run_id), event, Guard(subject, seq))
    await start_service(EngineService)
    await worker.complete(await worker.start("etl"))
    assert await types(bus, run_id) == ["scheduled", "forked", "queued", "started", "completed"]
    adopted_events = await bus.read(subjects.task(run_id))
    assert [event.task_key for _, event in adopted_events] == ["t-0", "t-1"]


async def test_fork_of_many_tasks_keeps_their_order(bus, worker):
    claimed = await started(bus, worker)
    for n in range(150):
        await worker.task(claimed, f"t-{n}", result=n)
    await worker.complete(claimed)
    run_id = await fork(bus, claimed.run_id, from_key="t-140")
    await worker.take("etl")
    history = await read_history(bus, run_id)
    assert list(history.tasks) == [f"t-{n}" for n in range(140)]
    assert history.run.state is RunState.PENDING
