"""A projector in the tests' own process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.service import ProjectorService
from perfect_runtime.service import Context


class Running:
    """A projector in this process, on a connection of its own."""

    def __init__(self, service: ProjectorService, context: Context) -> None:
        self.service = service
        self.context = context

    async def caught_up(self, bus: Bus) -> None:
        """Until the file covers what the streams hold, warnings said on the way included."""
        while True:
            ends = {
                name: (await bus.js.stream_info(name)).state.last_seq for name in ("DEFS", "EVENTS", "LOGS")
            }
            if all(self.service.committed.get(name, 0) >= end for name, end in ends.items()):
                return
            if self.context.failure.done():
                self.context.failure.result()
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        await self.service.stop()
        await self.context.cancel_spawned()


@contextlib.asynccontextmanager
async def projectors(
    settings: Settings, make_bus: Callable[[str], Awaitable[Bus]]
) -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    """`await start()`: another one; all of them are stopped at the end."""
    running: list[Running] = []

    async def start(settings: Settings = settings) -> Running:
        context = Context(bus=await make_bus("projector"), settings=settings, log=structlog.get_logger())
        service = ProjectorService(context)
        running.append(Running(service, context))
        await service.start()
        return running[-1]

    yield start
    for one in running:
        if one.service.status != "stopping":
            await one.stop()
