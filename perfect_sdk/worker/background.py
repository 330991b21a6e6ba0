"""Tasks that a worker could run in the background: they cost nothing until somebody delays one.

The first `delay` of a task registers the flow that runs it. A worker that has the task in one of its files hears of that,
and serves the flow from then on.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from nats.aio.msg import Msg

from perfect_bus import Bus
from perfect_schemas import ids, subjects
from perfect_schemas.commands import RegisterFlow
from perfect_schemas.errors import PerfectError


class Background:
    """serve(definition): called once a flow."""

    def __init__(
        self,
        bus: Bus,
        definitions: list[RegisterFlow],
        serve: Callable[[RegisterFlow], Coroutine[Any, Any, None]],
    ) -> None:
        self._bus = bus
        self._waiting = {ids.flow_id(definition.name): definition for definition in definitions}
        self._serve = serve

    async def start(self) -> None:
        if self._waiting:
            await self._bus.nc.subscribe(subjects.ALL_FLOWS, cb=self._heard)
            await self.review()

    async def review(self) -> None:
        """What was registered before, or while the connection was away."""
        await asyncio.gather(*map(self._look_up, list(self._waiting)))

    async def _look_up(self, flow_id: str) -> None:
        try:
            found = await self._bus.last(subjects.flow(flow_id), stream="DEFS")
        except (PerfectError, TimeoutError):  # the reconnection looks again
            return
        if found is not None:
            await self._begin(flow_id)

    async def _heard(self, msg: Msg) -> None:
        await self._begin(msg.subject.rpartition(".")[2])

    async def _begin(self, flow_id: str) -> None:
        definition = self._waiting.pop(flow_id, None)
        if definition is not None:
            await self._serve(definition)
