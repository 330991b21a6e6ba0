"""Presence: a client is alive as long as its key in the KV bucket CLIENTS is renewed; the key expires with the lease.

`Presence` values come from the supervisor process alone, so that user code can neither starve nor fake them.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import msgspec
from nats.errors import Error as NatsError

from perfect_schemas import codec, subjects
from perfect_schemas.commands import Presence
from perfect_schemas.errors import BusUnavailable

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.bus import Bus

_decode = msgspec.json.Decoder(Presence).decode


async def renew(bus: "Bus", presence: Presence, lease_s: float) -> None:
    """Publish the key once, to live for `lease_s` (whole seconds, at least 1: the server's granularity).

    Raises BusUnavailable when it is not acknowledged within the lease.
    """
    ttl = max(1, math.ceil(lease_s))
    await bus.outbox.send(
        subjects.presence(presence.client_id),
        codec.encode(presence),
        headers={"Nats-TTL": f"{ttl}s"},
        deadline_s=lease_s,
    )


async def keep(
    bus: "Bus",
    current: Callable[[], Presence],
    *,
    lease_s: float,
    every_s: float,
    renewed: Callable[[], None] = lambda: None,
    changed: asyncio.Event | None = None,
) -> None:
    """Renew for ever, every `every_s` seconds and at once when `changed` is set. `renewed` hears of each success."""
    changed = changed or asyncio.Event()
    while True:
        changed.clear()
        try:
            await renew(bus, current(), lease_s)
            renewed()
        except BusUnavailable:
            continue
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await changed.wait()


async def withdraw(bus: "Bus", client_id: str) -> None:
    """Delete the key: a good-bye, seen at once."""
    await bus.outbox.send(subjects.presence(client_id), b"", headers={"KV-Operation": "DEL"}, deadline_s=2)


async def present(bus: "Bus") -> list[Presence]:
    """Who is there now. Raises BusUnavailable."""
    found, _ = await bus.last_of_each(subjects.presence("*"), stream=f"KV_{subjects.CLIENTS}")
    return [_decode(data) for _, data in found.values() if data]


async def watch(bus: "Bus") -> AsyncIterator[tuple[str, Presence | None] | None]:
    """Yields (client id, presence) for each renewal and (client id, None) for each expiry or good-bye.

    First come the clients that are there now, then None once, then what happens. Survives a restart of the server.
    """
    stream = f"KV_{subjects.CLIENTS}"
    prefix = subjects.presence("")
    heard: asyncio.Queue[tuple[str, Presence | None]] = asyncio.Queue()
    present, seq = await bus.last_of_each(subjects.presence("*"), stream=stream)
    for subject, (_, data) in present.items():
        if data:
            yield subject.removeprefix(prefix), _decode(data)
    yield None

    async def each(msg: "Msg", _: int) -> None:
        heard.put_nowait((msg.subject.removeprefix(prefix), _decode(msg.data) if msg.data else None))

    subscription = await bus.follow(stream, each, after=seq, subject=subjects.presence("*"))
    try:
        while True:
            yield await heard.get()
    finally:
        with contextlib.suppress(NatsError):  # the connection may be closed already
            await subscription.unsubscribe()
