"""Which launchers there are: each holds the key of its host in the KV bucket LAUNCHERS as long as it renews it.

The key can be taken by one launcher only, and is written under the guard of its own last value, so that whoever has lost
it hears so at the next renewal. What is left of a key that has expired, or was given back, says since when nobody holds it.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from perfect_bus.append import Guard, guard_headers
from perfect_bus.outbox import WRONG_LAST_SEQUENCE
from perfect_schemas import codec, subjects
from perfect_schemas.commands import LauncherPresence
from perfect_schemas.errors import BusUnavailable, Failed

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.bus import Bus

STREAM = f"KV_{subjects.LAUNCHERS}"
GONE_S = 30 * 86400
"""For so long is it known of a host that it had a launcher."""
_decode = msgspec.json.Decoder(LauncherPresence).decode


class Seen(msgspec.Struct, frozen=True):
    """A host. presence: of its launcher, None when it has none; then nobody has held the key since `away_since`."""

    host: str
    presence: LauncherPresence | None = None
    away_since: datetime | None = None


class Hold:
    """One launcher's hold on the key of its host: `take()`, then `keep()`, at last `give_back()`."""

    def __init__(self, bus: "Bus", presence: LauncherPresence, lease_s: float) -> None:
        self._bus = bus
        self._presence = presence
        self._lease_s = lease_s
        self._subject = subjects.launcher_presence(presence.host)
        self._seq = 0

    async def holder(self) -> LauncherPresence | None:
        """Who has the key, None when nobody has. Raises BusUnavailable."""
        found = await self._bus.read_raw(self._subject, stream=STREAM)
        self._seq = found[-1][0] if found else 0
        return _decode(found[-1][2]) if found and found[-1][2] else None

    async def take(self, *, over: LauncherPresence | None = None) -> LauncherPresence | None:
        """None when the key is ours now, else who has it. over: whose hold does not count. Raises BusUnavailable."""
        while True:
            held = await self.holder()
            if held is not None and held.launcher_id not in (
                self._presence.launcher_id,
                over.launcher_id if over is not None else None,
            ):
                return held
            if await self._write():
                return None

    async def keep(self, every_s: float) -> LauncherPresence | None:
        """Renew for ever. Returns who has taken the key, when it was not renewed in time."""
        while True:
            await asyncio.sleep(every_s)
            try:
                if not await self._write() and (held := await self.take()) is not None:
                    return held
            except BusUnavailable:
                continue  # as long as the bus is away nobody else can take it

    async def give_back(self) -> None:
        """Seen at once."""
        headers = {"KV-Operation": "DEL", "Nats-TTL": f"{GONE_S}s"} | guard_headers(
            self._subject, Guard(self._subject, self._seq)
        )
        await self._bus.outbox.send(self._subject, b"", headers=headers, deadline_s=2)

    async def _write(self) -> bool:
        ttl = max(1, math.ceil(self._lease_s))
        headers = {"Nats-TTL": f"{ttl}s"} | guard_headers(self._subject, Guard(self._subject, self._seq))
        ack = await self._bus.outbox.send(
            self._subject, codec.encode(self._presence), headers=headers, deadline_s=self._lease_s
        )
        if ack.error is None:
            self._seq = ack.seq
            return True
        if ack.error.err_code != WRONG_LAST_SEQUENCE:
            raise Failed(f"{self._subject} refused the launcher's presence: {ack.error.description}")
        return False


async def seen(bus: "Bus") -> list[Seen]:
    """The hosts that have a launcher, or had one within 30 days, by name. Raises BusUnavailable."""
    prefix = subjects.launcher_presence("")
    found: list[Seen] = []
    for _, subject, data in await bus.read_raw(subjects.launcher_presence(">"), stream=STREAM):
        host = subject.removeprefix(prefix)
        if data:
            found.append(Seen(host, presence=_decode(data)))
        else:
            found.append(Seen(host, away_since=await _left(bus, subject)))
    return sorted(found, key=lambda one: one.host)


async def _left(bus: "Bus", subject: str) -> datetime | None:
    try:
        return (await bus.js.get_last_msg(STREAM, subject)).time
    except NotFoundError:
        return None


async def watch(bus: "Bus") -> AsyncIterator[str]:
    """Yields the name of a host whenever its launcher comes, changes or goes; first those that there are."""
    prefix = subjects.launcher_presence("")
    last: dict[str, str] = {}
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def each(msg: "Msg", _: int) -> None:
        host = msg.subject.removeprefix(prefix)
        launcher_id = _decode(msg.data).launcher_id if msg.data else ""
        if last.get(host) != launcher_id:
            last[host] = launcher_id
            heard.put_nowait(host)

    following = await bus.follow(STREAM, each, after=0, subject=subjects.launcher_presence(">"))
    try:
        while True:
            yield await heard.get()
    finally:
        with contextlib.suppress(NatsError):  # the connection may be closed already
            await following.unsubscribe()


async def until_free(bus: "Bus", host: str) -> None:
    """Until nobody holds the host's key."""
    subject = subjects.launcher_presence(host)
    free = asyncio.Event()

    async def heard(msg: "Msg", _: int) -> None:
        if not msg.data:
            free.set()

    found = await bus.read_raw(subject, stream=STREAM)
    if not found or not found[-1][2]:
        return
    following = await bus.follow(STREAM, heard, after=found[-1][0], subject=subject)
    try:
        await free.wait()
    finally:
        with contextlib.suppress(NatsError):  # the connection may be closed already
            await following.unsubscribe()
