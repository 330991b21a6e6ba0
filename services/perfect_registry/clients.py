"""What is said of clients that vanish: pure. Clients speak for themselves as long as they can."""

from datetime import datetime

import msgspec

from perfect_schemas.commands import Presence
from perfect_schemas.envelope import Event
from perfect_schemas.events.client import ClientConnected, ClientDisconnected, ClientLost

SOURCE = "registry"


class Client(msgspec.Struct, frozen=True):
    """connected: the last that was said of it is that it is there. lost: … that it vanished."""

    connected: bool = False
    lost: bool = False


def evolve(client: Client | None, event: Event, _: int) -> Client | None:
    if isinstance(event, ClientConnected):
        return Client(connected=True)
    if isinstance(event, ClientDisconnected):
        return Client()
    if isinstance(event, ClientLost):
        return Client(lost=True)
    return client


def lose(client: Client | None, client_id: str, *, event_id: str, now: datetime) -> tuple[ClientLost, ...]:
    """Its presence ended. Nothing when it said good-bye, or was never announced, or this was said before."""
    if client is None or not client.connected:
        return ()
    return (ClientLost(id=event_id, at=now, source=SOURCE, client_id=client_id),)


def find_again(
    client: Client | None, presence: Presence, *, event_id: str, now: datetime
) -> tuple[ClientConnected, ...]:
    """It was said to be lost and is there: it had been stopped or cut off for a while, and does not know."""
    if client is None or not client.lost:
        return ()
    return (
        ClientConnected(
            id=event_id,
            at=now,
            source=SOURCE,
            client_id=presence.client_id,
            name=presence.name,
            host=presence.host,
            pid=presence.pid,
            slots=presence.slots,
            flows=presence.flows,
            queues=presence.queues,
        ),
    )
