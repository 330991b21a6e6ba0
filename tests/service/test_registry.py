"""The registry on a real nats-server: registering, removing, clients that vanish."""

import asyncio

import msgspec
import pytest
from fake_worker import Worker, register, trigger

from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_schemas import codec, ids, subjects
from perfect_schemas.commands import RemoveFlow
from perfect_schemas.errors import Conflicting, InvalidInput, NotFound
from perfect_schemas.events.flow import TaskDefinition


async def defs(bus, subject):
    return [event for _, event in await bus.read(subject, stream="DEFS")]


async def client_events(bus, client_id, count):
    """The first `count` events of the client, as they come."""
    queue = asyncio.Queue()

    async def heard(msg, _):
        queue.put_nowait(codec.decode(msg.data).type)

    following = await bus.follow("DEFS", heard, after=0, subject=subjects.client(client_id))
    found = [await asyncio.wait_for(queue.get(), 30) for _ in range(count)]
    await following.unsubscribe()
    return found


async def test_registering_twice_says_it_once(bus, start_service):
    await start_service(RegistryService)
    first = await register(bus, "etl", flow_version="v1", tasks=[TaskDefinition(id="", name="load")])
    again = await register(bus, "etl", flow_version="v1")
    assert first.new
    assert not again.new
    assert first.flow_id == again.flow_id == ids.flow_id("etl")
    [event] = await defs(bus, subjects.flow(first.flow_id))
    assert event.tasks[0].id == ids.task_id(first.flow_id, "load")


async def test_version_without_one_follows_from_the_definition(bus, start_service):
    await start_service(RegistryService)
    one = await register(bus, "etl", description="a")
    assert len(one.flow_version) == 12
    assert (await register(bus, "etl", description="a")).flow_version == one.flow_version
    assert (await register(bus, "etl", description="b")).new


async def test_many_registrations_at_once_say_it_once(bus, start_service, make_bus):
    await start_service(RegistryService)
    await start_service(RegistryService)
    answers = await asyncio.gather(*(register(bus, "etl", flow_version="v1") for _ in range(20)))
    assert sum(answer.new for answer in answers) == 1
    assert len(await defs(bus, subjects.flow(ids.flow_id("etl")))) == 1


async def test_knows_after_a_restart(bus, start_service):
    service = await start_service(RegistryService)
    await register(bus, "etl", flow_version="v1")
    await service.stop()
    await service.bus.close(0.1)
    await start_service(RegistryService)
    assert not (await register(bus, "etl", flow_version="v1")).new


async def test_wrong_definition_names_the_fields(bus, start_service):
    await start_service(RegistryService)
    with pytest.raises(InvalidInput) as caught:
        await register(
            bus,
            "",
            tasks=[TaskDefinition(id="", name="a\nb", weight=0)],
            parameters={"type": "object", "properties": {"n": {"type": "number!"}}},
        )
    assert [error.field for error in caught.value.errors] == [
        "name",
        "tasks.0.name",
        "tasks.0.weight",
        "parameters.properties.n.type",
    ]


async def test_remove(bus, start_service):
    await start_service(RegistryService)
    await start_service(EngineService)
    flow = await register(bus, "etl", flow_version="v1")
    run = await trigger(bus, "etl")
    remove = RemoveFlow(flow_id=flow.flow_id)
    with pytest.raises(Conflicting, match=run.run_id):
        await bus.ask(subjects.command("registry", "remove"), remove)
    worker = await Worker(bus, "etl").connect()
    await worker.complete(await worker.start("etl"))
    for _ in range(2):
        await bus.ask(subjects.command("registry", "remove"), remove)
    with pytest.raises(NotFound, match="removed"):
        await trigger(bus, "etl")
    with pytest.raises(NotFound):
        await bus.ask(subjects.command("registry", "remove"), RemoveFlow(flow_id=ids.uuid7()))
    assert (await register(bus, "etl", flow_version="v1")).new
    await trigger(bus, "etl")


async def test_client_that_vanishes_is_lost_once(bus, start_service, settings):
    settings = msgspec.structs.replace(settings, lease_s=1)
    await start_service(RegistryService, settings=settings)
    await start_service(RegistryService, settings=settings)
    worker = await Worker(bus, "etl", lease_s=1).connect()
    assert await client_events(bus, worker.id, 2) == ["client.connected", "client.lost"]
    await worker.renew()
    assert await client_events(bus, worker.id, 3) == ["client.connected", "client.lost", "client.connected"]


async def test_client_lost_while_the_registry_was_away(bus, start_service, settings):
    worker = await Worker(bus, "etl").connect()
    await worker.leave()
    await start_service(RegistryService, settings=msgspec.structs.replace(settings, lease_s=1))
    assert await client_events(bus, worker.id, 2) == ["client.connected", "client.lost"]
