"""Presence on a real nats-server: seen at once, gone with its lease."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from perfect_bus import Bus
from perfect_bus.presence import keep, renew, watch, withdraw
from perfect_runtime.natsd import NatsServer
from perfect_schemas import ids
from perfect_schemas.commands import Presence

MakeBus = Callable[..., Awaitable[Bus]]


def presence(client_id: str, **values) -> Presence:
    return Presence(client_id=client_id, name="w", host="h", pid=1, slots=2, **values)


async def test_presence_is_seen_and_so_is_its_expiry(bus: Bus, make_bus: MakeBus) -> None:
    client_id = ids.uuid7()
    heard = watch(await make_bus("watcher"))
    assert await anext(heard) is None
    began = time.monotonic()
    await renew(bus, presence(client_id), lease_s=1)
    assert await anext(heard) == (client_id, presence(client_id))
    assert await asyncio.wait_for(anext(heard), 60) == (client_id, None)
    assert time.monotonic() - began > 0.5
    await heard.aclose()


async def test_a_watcher_that_comes_later_sees_who_is_there(bus: Bus) -> None:
    here, gone = ids.uuid7(), ids.uuid7()
    await renew(bus, presence(here), lease_s=30)
    await renew(bus, presence(gone), lease_s=30)
    await withdraw(bus, gone)
    heard = watch(bus)
    assert [await anext(heard), await anext(heard)] == [(here, presence(here)), None]
    await heard.aclose()


async def test_a_good_bye_is_seen_at_once_and_a_change_without_waiting_for_the_next_renewal(bus: Bus) -> None:
    client_id = ids.uuid7()
    draining, changed, renewals = False, asyncio.Event(), 0

    def renewed() -> None:
        nonlocal renewals
        renewals += 1

    heard = watch(bus)
    assert await anext(heard) is None
    keeper = asyncio.create_task(
        keep(
            bus,
            lambda: presence(client_id, draining=draining),
            lease_s=30,
            every_s=20,
            renewed=renewed,
            changed=changed,
        )
    )
    assert await asyncio.wait_for(anext(heard), 60) == (client_id, presence(client_id))
    draining = True
    changed.set()
    assert await asyncio.wait_for(anext(heard), 60) == (client_id, presence(client_id, draining=True))
    keeper.cancel()
    await withdraw(bus, client_id)
    assert await asyncio.wait_for(anext(heard), 60) == (client_id, None)
    assert renewals >= 1
    await heard.aclose()


async def test_presence_outlives_a_restart_of_the_server(bus: Bus, nats_server: NatsServer) -> None:
    client_id = ids.uuid7()
    heard = watch(bus)
    assert await anext(heard) is None
    keeper = asyncio.create_task(keep(bus, lambda: presence(client_id), lease_s=3, every_s=0.5))
    assert await asyncio.wait_for(anext(heard), 60) == (client_id, presence(client_id))
    nats_server.kill()
    await asyncio.sleep(0.2)
    nats_server.start()
    for _ in range(2):
        assert await asyncio.wait_for(anext(heard), 60) == (client_id, presence(client_id))
    keeper.cancel()
    async with asyncio.timeout(60):
        while (await anext(heard))[1] is not None:
            pass
    await heard.aclose()
