"""Values too large for an event, in the object store `RESULTS`. For the I/O loop."""

import asyncio

from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError, ObjectNotFoundError

from perfect_bus import Bus
from perfect_schemas.errors import NotFound

RETRY_S = 0.5


async def put_object(bus: Bus, name: str, data: bytes) -> None:
    """Keep `data` under `name`, replacing what was there. Tried until it is stored or the connection is closed."""
    while True:
        try:
            store = await bus.results()
            await store.put(name, data)
        except (NatsError, TimeoutError, OSError):
            if bus.nc.is_closed:
                raise
            await asyncio.sleep(RETRY_S)
        else:
            return


async def get_object(bus: Bus, name: str) -> bytes:
    """Raises NotFound when no such object was stored (or it was removed)."""
    while True:
        try:
            store = await bus.results()
            return (await store.get(name)).data or b""
        except (ObjectNotFoundError, NotFoundError):
            raise NotFound(f"the stored result {name} is not in the object store any more") from None
        except (NatsError, TimeoutError, OSError):
            if bus.nc.is_closed:
                raise
            await asyncio.sleep(RETRY_S)
