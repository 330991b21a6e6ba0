"""The clients (workers and scripts) that come and go. Subject: `perfect.evt.client.<client_id>` on DEFS.

Presence itself is no event: it is a key in the KV bucket CLIENTS that expires with its lease.
"""

from perfect_schemas.envelope import Event


class ClientConnected(Event, frozen=True, kw_only=True, omit_defaults=True, tag="client.connected"):
    """python_version, sdk_version: of the process that says it, where it runs Python."""

    client_id: str
    name: str
    host: str
    pid: int
    slots: int
    flows: list[str] = []
    queues: list[str] = []
    sdk_version: str = ""
    python_version: str = ""


class ClientDisconnected(Event, frozen=True, kw_only=True, omit_defaults=True, tag="client.disconnected"):
    """It said good-bye: drained, stopped by a person, or its script ended."""

    client_id: str


class ClientLost(Event, frozen=True, kw_only=True, omit_defaults=True, tag="client.lost"):
    """Its presence expired without a good-bye."""

    client_id: str
