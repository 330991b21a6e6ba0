"""How a service lives: it gets a context, starts, answers for its health, stops.

    class EngineService(Service):
        name = "engine"

        async def start(self) -> None:   # subscribe, fold, return when ready to serve
        async def stop(self) -> None:    # stop taking work, finish what is begun; the bus is closed afterwards

`run_services` runs one or several of them on one event loop and one connection until SIGTERM or SIGINT. A service that
raises in the background calls `context.fail(error)`: the process ends with exit code 1 and is started again by `up`.
"""

import asyncio
import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, ClassVar

import structlog

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_schemas import subjects
from perfect_schemas.commands import Health, Reply
from perfect_schemas.envelope import utc_now

SERVICES = ("registry", "engine", "launcher", "projector", "gateway")
"""The services of a whole system, in the order in which their health is told."""
CANCEL_AGAIN_S = 0.1


class Context:
    """What a service gets from outside: nothing in a service makes its own bus, clock, settings or log."""

    def __init__(
        self,
        *,
        bus: Bus,
        settings: Settings,
        log: "structlog.stdlib.BoundLogger",
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.bus = bus
        self.settings = settings
        self.log = log
        self.clock = clock
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._saying: set[asyncio.Task[None]] = set()

    def say_health(self) -> None:
        """Whoever shows the services' health asks for it now. Nobody waits for it: a bus that is away is no fault."""

        async def say() -> None:
            with contextlib.suppress(Exception):
                await self.bus.nc.publish(subjects.live_services(), b"")

        task = asyncio.get_running_loop().create_task(say())
        self._saying.add(task)
        task.add_done_callback(self._saying.discard)

    def fail(self, error: BaseException) -> None:
        """End the process: what happened cannot be mended from inside."""
        if not self.failure.done():
            self.failure.set_exception(error)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` in the background; its failure is the service's failure. Cancelled at the end."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("background work failed", task=task.get_name(), error=repr(error))
            self.fail(error)

    async def cancel_spawned(self) -> None:
        """Again until all have ended: before Python 3.12, `asyncio.wait_for` (which nats-py's requests use) swallows a
        cancellation that comes in the same turn of the loop as the answer.
        """
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks, timeout=CANCEL_AGAIN_S)


class Service(ABC):
    name: ClassVar[str]

    def __init__(self, context: Context) -> None:
        self.context = context
        self.bus = context.bus
        self.settings = context.settings
        self.log = context.log.bind(service=self.name)
        self.clock = context.clock
        self._status = "starting"
        self.started_at = context.clock()

    @property
    def status(self) -> str:
        """As `Health` has it. A change of it is said on the bus."""
        return self._status

    @status.setter
    def status(self, status: str) -> None:
        is_other, self._status = status != self._status, status
        if is_other:
            self.context.say_health()

    @abstractmethod
    async def start(self) -> None:
        """Return when the service is ready. Raising ends the process."""

    @abstractmethod
    async def stop(self) -> None:
        """Called once, also after a failed start."""

    def lag(self) -> tuple[int, int]:
        """Messages still to be read from the bus, and the age of the oldest of them in ms."""
        return 0, 0

    def metrics(self) -> dict[str, float]:
        return {}

    def health(self) -> Health:
        lag, lag_ms = self.lag()
        return Health(
            name=self.name,
            status=self.status,  # type: ignore[arg-type]
            lag=lag,
            lag_ms=lag_ms,
            pid=os.getpid(),
            started_at=self.started_at,
            metrics=self.metrics(),
        )

    async def answer_health(self) -> None:
        async def answer(_: bytes) -> Reply:
            return Reply.of(self.health())

        await self.bus.answer(subjects.health(self.name), answer)
