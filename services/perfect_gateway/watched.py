"""Asking for what may take long: given up when the client goes, and when the service that works on it is gone.

A request that waits for a service that was killed would wait until its time is up. So it is asked every second, beside
the request, whether it still works on it; and it hears when nobody waits any more.
"""

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec
from litestar.exceptions import HTTPException
from nats.errors import Error as NatsError

from perfect_bus import Bus
from perfect_gateway.wire import AnyRequest
from perfect_schemas import codec, subjects
from perfect_schemas.commands import Health, Reply
from perfect_schemas.errors import ServiceUnavailable
from perfect_schemas.queries import SqlWatch, SqlWatched

T = TypeVar("T")
EVERY_S = 1.0
TRY_S = 2.0
SILENT_S = 3.0

_decode = msgspec.json.Decoder(Reply).decode


class ClientGone(HTTPException):
    """Nobody is there to be answered."""

    status_code = 408
    detail = "the client has closed its connection"


async def asked(bus: Bus, work: Awaitable[T], query_id: str = "") -> T:
    """What `work`, a request to the projector, returns or raises. Raises ServiceUnavailable when the projector has not
    said for three seconds that it knows of the query; cancelled, it tells the projector to stop it.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.create_task(_until_silent(bus, query_id), name="watch a query")
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ServiceUnavailable(await _why_silent(bus))
    finally:
        was_done = working.done()
        for task in (working, watching):
            task.cancel()
        if query_id and not was_done:
            await _stop(bus, query_id)


async def while_connected(request: AnyRequest, work: Awaitable[T]) -> T:
    """What `work` returns or raises; it is cancelled when the client closes its connection. Raises ClientGone then. To be
    called when the body has been read.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)


async def _disconnected(request: AnyRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _until_silent(bus: Bus, query_id: str) -> None:
    loop = asyncio.get_running_loop()
    heard = loop.time()
    data = codec.encode(SqlWatch(query_id=query_id))
    while loop.time() - heard < SILENT_S:
        await asyncio.sleep(EVERY_S)
        with contextlib.suppress(NatsError, TimeoutError, msgspec.DecodeError):
            reply = _decode((await bus.nc.request(subjects.query("sql_watch"), data, timeout=TRY_S)).data)
            if msgspec.json.decode(reply.value, type=SqlWatched).is_known:
                heard = loop.time()


async def _why_silent(bus: Bus) -> str:
    """What it says of itself: while its disk is full it answers for its health alone."""
    with contextlib.suppress(NatsError, TimeoutError, msgspec.DecodeError):
        reply = _decode((await bus.nc.request(subjects.health("projector"), b"{}", timeout=EVERY_S)).data)
        if why := msgspec.json.decode(reply.value, type=Health).detail:
            return f"the projector answers no queries now: {why}"
    return (
        "the projector, which answers queries, has gone or was started again meanwhile: ask again in a moment"
    )


async def _stop(bus: Bus, query_id: str) -> None:
    """Said once, without waiting for an answer: unheard, the query ends at its deadline."""
    message: Any = codec.encode(SqlWatch(query_id=query_id, stop=True))
    with contextlib.suppress(NatsError):
        await bus.nc.publish(subjects.query("sql_watch"), message, reply=bus.nc.new_inbox())
