"""Named limits on a real nats-server: who is in, who waits, who comes in next; with the engine killed in between."""

import asyncio

import msgspec
import pytest
from engine_asked import end, waiting
from eventually import eventually
from fake_worker import Worker, register, trigger, until

from perfect_engine import limits as limits_module
from perfect_engine.service import EngineService
from perfect_projector.service import ProjectorService
from perfect_schemas import ids, subjects
from perfect_schemas.commands import (
    Acquired,
    AcquireSlots,
    Holder,
    LimitView,
    ReleaseSlots,
    RemoveLimit,
    SetLimit,
    ShowLimits,
)
from perfect_schemas.errors import Conflicting, InvalidInput, NotFound
from perfect_schemas.queries import Integrity, IntegrityReport


@pytest.fixture
def settings(settings):
    return msgspec.structs.replace(settings, lease_s=2.0, cancel_grace_s=0.1)


@pytest.fixture
async def worker(bus, engine):
    await register(bus, "etl")
    return await Worker(bus, "etl", slots=10, lease_s=60).connect()


async def ask(bus, verb, command):
    return await bus.ask(subjects.command("engine", verb), command, timeout_s=60, try_s=30)


async def set_limit(bus, name, slots):
    await ask(bus, "set_limit", SetLimit(name=name, slots=slots, by="ann"))


async def acquire(bus, claimed, *names, key="body", occupy=1, wait_s=0.2):
    holder = Holder(run_id=claimed.run_id, epoch=claimed.epoch, key=key)
    command = AcquireSlots(names=list(names), holder=holder, occupy=occupy, wait_s=wait_s)
    return msgspec.json.decode((await ask(bus, "acquire", command)).value, type=Acquired)


async def release(bus, claimed, *names, key="body"):
    holder = Holder(run_id=claimed.run_id, epoch=claimed.epoch, key=key)
    await ask(bus, "release", ReleaseSlots(names=list(names), holder=holder))


async def asking(bus, claimed, name, wait_s=20):
    """Asks for a slot, and is known to wait for it. The answer is still to come."""
    answer = asyncio.create_task(acquire(bus, claimed, name, wait_s=wait_s))

    async def is_waiting():
        shown = (await limits(bus))[name].waiting
        return any(slot.holder.run_id == claimed.run_id for slot in shown)

    await eventually(is_waiting)
    return answer


async def limits(bus):
    shown = msgspec.json.decode((await ask(bus, "limits", ShowLimits())).value, type=list[LimitView])
    return {limit.name: limit for limit in shown}


async def started(bus, worker, count=1, **command):
    for _ in range(count):
        await trigger(bus, "etl", **command)
    return [await worker.start("etl") for _ in range(count)]


async def test_a_release_lets_the_next_one_in_at_once(bus, worker):
    await set_limit(bus, "db", 1)
    one, two = await started(bus, worker, 2)
    assert (await acquire(bus, one, "db")).granted
    assert (await acquire(bus, one, "db")).granted  # asked again
    refused = await acquire(bus, two, "db")
    assert not refused.granted
    assert refused.waiting_for.startswith(f"waits for a slot of 'db', held by run {one.run_id} since 20")
    assert await waiting(bus, two.run_id) == refused.waiting_for
    shown = (await limits(bus))["db"]
    assert [slot.holder.run_id for slot in shown.holders] == [one.run_id]
    assert [slot.holder.run_id for slot in shown.waiting] == [two.run_id]
    assert shown.holders[0].flow_name == "etl"
    answer = await asking(bus, two, "db")
    began = asyncio.get_running_loop().time()
    await release(bus, one, "db")
    assert (await answer).granted
    assert asyncio.get_running_loop().time() - began < 15  # not when it has waited long enough
    await release(bus, one, "db")  # nothing is held: nothing happens


async def test_a_name_without_a_limit_lets_everybody_in(bus, worker):
    one, two = await started(bus, worker, 2)
    assert (await acquire(bus, one, "free")).granted
    assert (await acquire(bus, two, "free")).granted
    assert await limits(bus) == {}


async def test_all_names_together_or_none(bus, worker):
    await set_limit(bus, "a", 1)
    await set_limit(bus, "b", 1)
    one, two, three = await started(bus, worker, 3)
    assert (await acquire(bus, one, "b")).granted
    assert not (await acquire(bus, two, "b", "a")).granted
    assert (await limits(bus))["a"].holders == []
    assert "waits for its turn at 'a': 1 before it" in (await acquire(bus, three, "a")).waiting_for
    await release(bus, one, "b")
    assert (await acquire(bus, two, "a", "b", wait_s=20)).granted
    assert not (await acquire(bus, three, "a")).granted


async def test_in_order_and_by_priority(bus, worker):
    await set_limit(bus, "db", 1)
    [holder] = await started(bus, worker)
    assert (await acquire(bus, holder, "db")).granted
    low = await started(bus, worker, 2)
    [high] = await started(bus, worker, priority=5)
    order = []

    async def one(claimed, answer):
        assert (await answer).granted
        order.append(claimed.run_id)
        await release(bus, claimed, "db")

    tasks = []
    for claimed in [*low, high]:
        tasks.append(asyncio.create_task(one(claimed, await asking(bus, claimed, "db"))))
    await release(bus, holder, "db")
    await asyncio.gather(*tasks)
    assert order == [high.run_id, *(claimed.run_id for claimed in low)]


async def test_a_slot_ends_with_its_run(bus, worker):
    await set_limit(bus, "db", 1)
    one, two = await started(bus, worker, 2)
    assert (await acquire(bus, one, "db")).granted
    answer = await asking(bus, two, "db")
    await worker.complete(one)
    assert (await answer).granted
    with pytest.raises(Conflicting, match="COMPLETED"):
        await acquire(bus, one, "db")
    with pytest.raises(NotFound):
        await acquire(bus, msgspec.structs.replace(one, run_id=ids.uuid7()), "db")


async def test_a_slot_ends_with_its_epoch(bus, engine, worker, settings):
    await asyncio.sleep(settings.lease_s)
    await set_limit(bus, "db", 1)
    [one] = await started(bus, worker)
    assert (await acquire(bus, one, "db")).granted
    await worker.leave()
    await until(bus, one.run_id, "lost")
    other = await Worker(bus, "etl", lease_s=60).connect()
    again = await other.start("etl")
    assert again.epoch == 2
    assert (await acquire(bus, again, "db", wait_s=20)).granted
    with pytest.raises(Conflicting, match="epoch 1 holds no slots"):
        await acquire(bus, one, "db")


async def test_a_waiter_that_is_superseded_hears_it(bus, worker):
    await set_limit(bus, "db", 0)
    [one] = await started(bus, worker)
    answer = await asking(bus, one, "db")
    await worker.suspend(one, "sleep", key="sleep-0")
    with pytest.raises(Conflicting, match="PAUSED"):
        await answer


async def test_a_place_nobody_asks_for_again_is_given_up(bus, worker):
    await set_limit(bus, "db", 1)
    one, two, three = await started(bus, worker, 3)
    assert (await acquire(bus, one, "db")).granted
    assert not (await acquire(bus, two, "db", wait_s=0.05)).granted  # and never again
    answer = await asking(bus, three, "db")
    await release(bus, one, "db")  # two is next: it gets the slot, and does not come for it
    assert (await answer).granted


async def test_survives_the_engine(bus, engine, worker, start_service):
    await set_limit(bus, "db", 2)
    one, two, three = await started(bus, worker, 3)
    assert (await acquire(bus, one, "db")).granted
    assert (await acquire(bus, two, "db")).granted
    await end(engine)
    await worker.complete(one)  # while no engine is there
    await start_service(EngineService)
    assert (await acquire(bus, three, "db", wait_s=20)).granted
    shown = (await limits(bus))["db"]
    assert [slot.holder.run_id for slot in shown.holders] == [two.run_id, three.run_id]


async def test_two_engines_never_let_too_many_in(bus, engine, worker, start_service):
    await start_service(EngineService)
    await set_limit(bus, "db", 2)
    await asyncio.sleep(0.2)
    claims = await started(bus, worker, 8)
    answers = await asyncio.gather(*(acquire(bus, claimed, "db", wait_s=3) for claimed in claims))
    assert sum(answer.granted for answer in answers) == 2


async def test_changing_a_limit(bus, worker):
    await set_limit(bus, "db", 0)
    one, two = await started(bus, worker, 2)
    answer = await asking(bus, one, "db")
    await set_limit(bus, "db", 1)
    assert (await answer).granted
    answer = await asking(bus, two, "db")
    await ask(bus, "remove_limit", RemoveLimit(name="db", by="ann"))
    assert (await answer).granted
    assert await limits(bus) == {}
    with pytest.raises(NotFound):
        await ask(bus, "remove_limit", RemoveLimit(name="nothing", by="ann"))


async def test_more_than_there_are_holds_up_nobody(bus, worker):
    await set_limit(bus, "db", 2)
    one, two = await started(bus, worker, 2)
    refused = await acquire(bus, one, "db", occupy=3)
    assert refused.waiting_for == "asks for 3 slots of 'db', which has 2: raise the limit to let it go on"
    assert (await acquire(bus, two, "db", occupy=2)).granted


async def test_wrong_commands(bus, worker):
    [one] = await started(bus, worker)
    for names, occupy, field in (([], 1, "names"), ([""], 1, "names.0"), (["x"], 0, "occupy")):
        with pytest.raises(InvalidInput) as caught:
            await acquire(bus, one, *names, occupy=occupy)
        assert caught.value.errors[0].field == field
    with pytest.raises(InvalidInput, match="that of a flow"):
        await acquire(bus, one, "flow:etl")
    with pytest.raises(InvalidInput) as caught:
        await set_limit(bus, "db", -1)
    assert caught.value.errors[0].field == "slots"


async def test_the_limit_of_a_flow(bus, worker):
    await set_limit(bus, "flow:etl", 2)
    runs = [await trigger(bus, "etl") for _ in range(4)]
    claims = [await worker.start("etl") for _ in range(2)]
    with pytest.raises(TimeoutError):
        await worker.take("etl", timeout=0.3)
    sentence = await waiting(bus, runs[-1].run_id)
    assert sentence.startswith("the limit of flow 'etl' is reached (2 at once), held by runs ")
    assert claims[0].run_id in sentence
    shown = (await limits(bus))["flow:etl"]
    assert len(shown.holders) == 2
    assert len(shown.waiting) == 2
    await worker.complete(claims[0])
    await worker.start("etl")
    with pytest.raises(TimeoutError):
        await worker.take("etl", timeout=0.3)
    await ask(bus, "remove_limit", RemoveLimit(name="flow:etl", by="ann"))
    await worker.take("etl")


async def messages(bus):
    return (await bus.js.stream_info("DEFS", subjects_filter=subjects.ALL_LIMITS)).state.subjects or {}


async def test_what_led_to_where_a_limit_stands_leaves_the_bus(
    bus, engine, worker, settings, start_service, monkeypatch
):
    """Used for ever, a limit keeps a handful of events on the bus; the read model's log keeps them all."""
    monkeypatch.setattr(limits_module, "CONDENSE_AFTER", 10)
    await start_service(ProjectorService)
    await set_limit(bus, "db", 2)
    one, two = await started(bus, worker, 2)
    assert (await acquire(bus, one, "db", key="kept")).granted
    for n in range(20):
        assert (await acquire(bus, two, "db", key=str(n))).granted
        await release(bus, two, "db", key=str(n))
    subject = subjects.limit(ids.limit_id("db"))

    async def is_short():
        return 0 < (await messages(bus))[subject] <= 12

    await eventually(is_short, every_s=0.05)
    logged = await bus.ask(subjects.query("integrity"), Integrity())
    assert all(check.ok for check in msgspec.json.decode(logged.value, type=IntegrityReport).checks)
    await end(engine)
    monkeypatch.setattr(limits_module, "CONDENSE_AFTER", 1)  # the next start does so at once
    await start_service(EngineService)
    shown = (await limits(bus))["db"]
    assert [(slot.holder.run_id, slot.holder.key) for slot in shown.holders] == [(one.run_id, "kept")]
    assert shown.slots == 2

    async def is_one():
        return (await messages(bus))[subject] == 1

    await eventually(is_one, every_s=0.05)
    await release(bus, one, "db", key="kept")
    assert (await limits(bus))["db"].holders == []
