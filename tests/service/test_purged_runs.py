"""Runs that have left the bus are known, forked and tried again as if they were there."""

import asyncio

import msgspec
import pytest
from eventually import eventually
from fake_worker import Worker, register, trigger, types, until

from perfect_bus import Guard, append
from perfect_bus.claim import read_history
from perfect_bus.purging import subjects_on
from perfect_engine.service import EngineService
from perfect_projector.service import ProjectorService
from perfect_registry.service import RegistryService
from perfect_runtime.verify import verify
from perfect_schemas import ids, subjects
from perfect_schemas.commands import CancelRun, ForkRun, RetryRun, Triggered
from perfect_schemas.envelope import ErrorInfo, utc_now
from perfect_schemas.errors import Conflicting, InvalidInput, NotFound
from perfect_schemas.events import RunScheduled, RunStarted
from perfect_schemas.events.run import RunFailed
from perfect_schemas.states import RunState, TaskState

ERROR = ErrorInfo(kind="builtins:ValueError", message="no")


@pytest.fixture
def settings(settings):
    return msgspec.structs.replace(settings, lease_s=5.0, cancel_grace_s=0.1, purge_after_s=0.2)


@pytest.fixture
async def projector(start_service):
    return await start_service(ProjectorService)


@pytest.fixture
async def engine(start_service, projector):
    await start_service(RegistryService)
    return await start_service(EngineService)


@pytest.fixture
async def worker(bus, engine):
    await register(bus, "etl", flow_version="v1")
    return await Worker(bus, "etl", slots=5, lease_s=60).connect()


async def ask(bus, verb, command):
    return await bus.ask(subjects.command("engine", verb), command)


async def gone(bus, *run_ids):
    async def are_gone():
        there = await subjects_on(bus, "EVENTS", "perfect.evt.*.*")
        return not {name.rpartition(".")[2] for name in there} & set(run_ids)

    await eventually(are_gone, every_s=0.05)


async def failed(bus, worker, **command):
    await trigger(bus, "etl", **command)
    claimed = await worker.start("etl")
    for n in range(3):
        said = {"state_name": f"State {n}", "run_name": f"name {n}", "after": [f"t-{n - 1}"] if n else []}
        await worker.task(claimed, f"t-{n}", result=n, ordinal=n, input_digest=f"d{n}", **said)
    await worker.fail(claimed)
    return claimed


async def test_a_repeated_trigger_is_the_run_that_is_gone(bus, worker):
    first = await trigger(bus, "etl")
    await worker.complete(await worker.start("etl"))
    await gone(bus, first.run_id)
    again = await trigger(bus, "etl", run_id=first.run_id)
    assert (again.run_id, again.state, again.created_at) == (first.run_id, "COMPLETED", first.created_at)
    assert await types(bus, first.run_id) == []
    other = await trigger(bus, "etl", run_id=ids.uuid7_for(utc_now().replace(year=2020), "never seen"))
    assert other.state in ("SCHEDULED", "PENDING")  # an old id alone is no reason to refuse it


async def test_retry(bus, worker, engine, start_service):
    claimed = await failed(bus, worker, parameters={"day": 1}, tags=["x"])
    await gone(bus, claimed.run_id)
    with pytest.raises(InvalidInput) as caught:
        await ask(bus, "retry", RetryRun(run_id=claimed.run_id, by="ann", from_key="x-0"))
    assert caught.value.errors[0].field == "from_key"
    with pytest.raises(Conflicting, match="has ended"):
        await ask(bus, "cancel", CancelRun(run_id=claimed.run_id, by="ann"))
    with pytest.raises(NotFound):
        await ask(bus, "retry", RetryRun(run_id=ids.uuid7_for(utc_now().replace(year=2020), "x"), by="ann"))
    command = RetryRun(run_id=claimed.run_id, by="ann", from_key="t-2", event_id=ids.uuid7())
    await asyncio.gather(*(ask(bus, "retry", command) for _ in range(3)))
    hand_over = await worker.take("etl")
    assert (hand_over.run_id, hand_over.epoch, hand_over.replay) == (claimed.run_id, 2, True)
    assert (hand_over.parameters, hand_over.tags) == ({"day": 1}, ["x"])
    assert await types(bus, claimed.run_id) == ["restored", "retried", "queued"]
    history = await read_history(bus, claimed.run_id)
    assert [(task.key, task.ordinal, task.input_digest) for task in history.recorded()] == [
        ("t-0", 0, "d0"),
        ("t-1", 1, "d1"),
    ]
    assert bytes(history.tasks["t-1"].result.value) == b"1"
    assert (history.tasks["t-1"].state_name, history.tasks["t-1"].run_name) == ("State 1", "name 1")
    assert history.tasks["t-1"].after == ["t-0"]
    assert history.retry_epoch == 1
    again = await worker.claim(hand_over)
    await worker.task(again, "t-2", result="new", ordinal=2)
    await worker.complete(again)
    report = await verify(bus)
    assert report.differences == []
    await gone(bus, claimed.run_id)
    report = await verify(bus)
    assert (report.differences, report.runs, report.archived) == ([], 1, 1)
    with pytest.raises(Conflicting, match="fork it"):
        await ask(bus, "retry", RetryRun(run_id=claimed.run_id, by="ann"))


async def test_a_fence_that_is_read_while_the_run_is_still_there_is_obeyed(bus, worker, projector):
    """The fence stands, the purge has not come: whoever decides then must not build on what is about to go."""
    claimed = await failed(bus, worker)
    await until(bus, claimed.run_id, "archived")
    await ask(bus, "retry", RetryRun(run_id=claimed.run_id, by="ann"))
    await worker.start("etl")

    async def is_whole():
        return await types(bus, claimed.run_id) == ["restored", "retried", "queued", "started"]

    await eventually(is_whole, every_s=0.05)
    history = await read_history(bus, claimed.run_id)
    assert (history.run.state, history.run.epoch) == (RunState.RUNNING, 2)
    assert [task.state for task in history.tasks.values()] == [TaskState.COMPLETED] * 3


async def test_fork(bus, worker):
    claimed = await failed(bus, worker, parameters={"a": 1})
    await gone(bus, claimed.run_id)
    command = ForkRun(
        run_id=ids.uuid7(), origin_run_id=claimed.run_id, by="ann", from_key="t-1", parameters={"b": 2}
    )
    reply = msgspec.json.decode((await ask(bus, "fork", command)).value, type=Triggered)
    hand_over = await worker.take("etl")
    assert (hand_over.run_id, hand_over.parameters) == (reply.run_id, {"a": 1, "b": 2})
    history = await read_history(bus, reply.run_id)
    [task] = history.recorded()
    assert (task.key, task.origin_run_id) == ("t-0", claimed.run_id)
    assert (task.state_name, task.run_name) == ("State 0", "name 0")
    await worker.complete(await worker.claim(hand_over))
    assert (await verify(bus)).differences == []


async def test_a_child_that_failed_comes_back_with_its_parent(bus, worker):
    await trigger(bus, "etl")
    parent = await worker.start("etl")
    child_id = ids.child_run_id(parent.run_id, "etl-0")
    common = {"source": "w", "run_id": child_id}
    seq = 0
    for event in (
        RunScheduled(
            id=ids.uuid7(), at=utc_now(), flow_id=ids.flow_id("etl"), flow_name="etl", origin="child",
            parent_run_id=parent.run_id, parent_task_key="etl-0", **common,
        ),
        RunStarted(id=ids.uuid7(), at=utc_now(), epoch=1, client_id=worker.id, **common),
        RunFailed(id=ids.uuid7(), at=utc_now(), epoch=1, duration_ms=1, error=ERROR, **common),
    ):  # fmt: skip
        subject = subjects.run(child_id)
        seq = await append(bus, subject, event, Guard(subject, seq))
    with pytest.raises(TimeoutError):  # it stays as long as its parent lives
        await asyncio.wait_for(gone(bus, child_id), 1.0)
    await worker.fail(parent)
    await gone(bus, child_id, parent.run_id)
    await ask(bus, "retry", RetryRun(run_id=parent.run_id, by="ann"))
    await worker.start("etl")
    assert await types(bus, child_id) == ["restored"]
    child = (await read_history(bus, child_id)).run
    assert (child.state, child.epoch, child.parent_run_id) == (RunState.FAILED, 1, parent.run_id)
    assert (await verify(bus)).differences == []


async def test_an_engine_that_starts_finds_nothing_to_do_with_what_is_archived(
    bus, worker, engine, start_service
):
    claimed = await failed(bus, worker)
    await until(bus, claimed.run_id, "archived")
    await engine.stop()
    again = await start_service(EngineService)
    assert again.process.board.runs == {}
