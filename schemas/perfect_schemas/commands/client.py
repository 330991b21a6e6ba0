"""A client's presence, and what it is told directly."""

from typing import Literal

import msgspec


class Presence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A client's key in the KV bucket CLIENTS; gone when its lease has ended.

    slots: runs that it may hold at once. flows: ids that it serves. queues: for which it serves them. deployments: that
    it serves, as FLOW/NAME. takes_offers: it hears hand-overs on `perfect.ctl.<client_id>.run`, too.
    """

    client_id: str
    name: str
    host: str
    pid: int
    slots: int
    flows: list[str] = []
    queues: list[str] = msgspec.field(default_factory=lambda: ["default"])
    draining: bool = False
    deployments: list[str] = []
    takes_offers: bool = False


class Control(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message to one client on `perfect.ctl.<client_id>`. A lost one is found in the run's history."""

    verb: Literal["cancel", "drain"]
    run_id: str | None = None


class Pausing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to one client on `perfect.ctl.<client_id>.pause`: somebody pauses the run. A lost one is found in the
    run's history. epoch: of the claim that is meant: one that comes late does not pause a run that was resumed meanwhile.
    """

    run_id: str
    epoch: int
