"""What the routes work with, made once by the service."""

from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_gateway.ask import Asker
from perfect_gateway.facts import FlowBook
from perfect_gateway.listeners import Listeners
from perfect_gateway.live.hub import Hub
from perfect_schemas.commands import Health


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """own_health: the gateway's, which needs no asking. requests: responses by (method, status)."""

    bus: Bus
    asker: Asker
    flows: FlowBook
    hub: Hub
    listeners: Listeners
    clock: Callable[[], datetime]
    own_health: Callable[[], Health]
    requests: Callable[[], Mapping[tuple[str, int], int]]
    settings: Settings
    version: str = ""
