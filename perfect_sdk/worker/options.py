"""How a worker is to run: from the command line, with the system's settings for its lease."""

import os
import socket

import msgspec

from perfect_bus.bus import Connection
from perfect_bus.settings import Settings
from perfect_schemas.events.flow import Deployment
from perfect_schemas.schedule import ScheduleSpec

DEFAULT_CONCURRENCY = 10
DEFAULT_DRAIN_S = 3.0


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment of the flow called `flow`, with its schedules."""

    flow: str
    deployment: Deployment
    schedules: list[ScheduleSpec] = []

    @property
    def name(self) -> str:
        return f"{self.flow}/{self.deployment.name}"


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """targets: files and modules with flows. slots = processes × concurrency, at most `limit`.

    suspend_after_s: how long the code of a run that waits stays in memory.
    drain_s: how long held runs may go on after SIGTERM before they are left to other workers.
    served: deployments that are registered with the flows. pause_on_shutdown: their schedules pause when it ends.
    announces: whether it says how their runs are started.
    """

    targets: list[str]
    connection: Connection
    queue: str = "default"
    concurrency: int = DEFAULT_CONCURRENCY
    processes: int = msgspec.field(default_factory=lambda: os.cpu_count() or 1)
    name: str = msgspec.field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    drain_s: float = DEFAULT_DRAIN_S
    lease_s: float = 5.0
    presence_every_s: float = 1.5
    cancel_grace_s: float = 10.0
    suspend_after_s: float = 10.0
    limit: int | None = None
    served: list[Served] = []
    pause_on_shutdown: bool = True
    announces: bool = True

    @property
    def slots(self) -> int:
        slots = self.processes * self.concurrency
        return slots if self.limit is None else min(slots, self.limit)

    def with_settings(self, settings: Settings) -> "WorkerOptions":
        return msgspec.structs.replace(
            self,
            lease_s=settings.lease_s,
            presence_every_s=settings.presence_every_s,
            cancel_grace_s=settings.cancel_grace_s,
            suspend_after_s=settings.suspend_after,
        )
