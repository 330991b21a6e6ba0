"""Pages whose moving part is drawn whole when something of it moves: clients, limits, sizes, home at a glance.

What they show is asked of the services that know it, while somebody looks and never else. A page that comes back gets it
as it is, whatever it missed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

import perfect_ui
from perfect_bus import Bus, launchers
from perfect_gateway.live.chores import Chores
from perfect_gateway.live.follower import Follower
from perfect_gateway.live.pace import Pacer
from perfect_schemas import subjects

if TYPE_CHECKING:
    from perfect_gateway.live.board import Board

RUN = b'{"type":"run.'
SETTLED_S = 0.4  # from what is said until everybody who is asked has heard it, too
Moved = Literal["run", "log", "client", "process", "output", "limit", "host", "schedule", "service"]


class Whole(msgspec.Struct, frozen=True):
    """moved_by: what makes it be drawn again, at most every `every_s` seconds.

    draw(seq): as it is at that sequence of EVENTS, or later.
    """

    topic: str
    every_s: float
    moved_by: frozenset[Moved]
    draw: Callable[[int], Awaitable[str]]


class Wholes:
    """A listener of the follower."""

    def __init__(self, board: "Board", follower: Follower) -> None:
        self._board = board
        self._follower = follower
        self._pacer = Pacer(self._draw)
        self._chores = Chores()
        self._by_topic: dict[str, Whole] = {}
        self._subscriptions: list[Any] = []
        self._later: asyncio.TimerHandle | None = None

    def add(self, whole: Whole) -> None:
        self._by_topic[whole.topic] = whole

    async def start(self, bus: Bus) -> None:
        async def output(_: Any) -> None:
            self.moved("output")

        async def limits(_: Any) -> None:
            self.moved("limit")

        async def services(_: Any) -> None:
            self.moved("service")

        for subject, heard in (
            (subjects.live_services(), services),
            (subjects.ALL_LIVE_PROCESSES, output),
            (subjects.live_limits(), limits),
        ):
            self._subscriptions.append(await bus.nc.subscribe(subject, cb=heard))
        self._chores.begin("hosts of launchers", self._watch_hosts(bus))

    def close(self) -> None:
        self._pacer.close()
        self._chores.close()
        if self._later is not None:
            self._later.cancel()

    def on_event(self, _seq: int, _run_id: str, data: bytes, /) -> None:
        if data.startswith(RUN):
            self.moved("run")
            self._again_soon()

    def on_log(self, _seq: int, _run_id: str, _data: bytes, /) -> None:
        self.moved("log")

    def on_definition(self, kind: str, _data: bytes, /) -> None:
        if kind in ("client", "process", "limit", "schedule"):
            self.moved(kind)  # type: ignore[arg-type]
        if kind in ("client", "process", "flow"):
            self._again_soon()

    def moved(self, what: Moved) -> None:
        for whole in self._by_topic.values():
            if what in whole.moved_by and self._board.audience.has(whole.topic):
                self._pacer.ask(whole.topic, whole.every_s)

    async def frames(self, topics: frozenset[str], position: str) -> list[bytes]:
        """How they are now, for a page that comes. Raises PerfectError."""
        found = [self._by_topic[topic] for topic in sorted(topics) if topic in self._by_topic]
        return [perfect_ui.frame(await self._drawn(whole), id=position) for whole in found]

    async def _drawn(self, whole: Whole) -> str:
        return await whole.draw(self._follower.position.events)

    async def _watch_hosts(self, bus: Bus) -> None:
        async for _ in launchers.watch(bus):
            self.moved("host")

    def _again_soon(self) -> None:
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(SETTLED_S, self._settled)

    def _settled(self) -> None:
        self._later = None
        self.moved("client")
        self.moved("limit")

    def _draw(self, topic: Hashable) -> None:
        self._chores.begin(topic, self._send(self._by_topic[str(topic)]))

    async def _send(self, whole: Whole) -> None:
        if not self._board.audience.has(whole.topic):
            return
        html = await self._drawn(whole)
        self._board.audience.send(whole.topic, perfect_ui.frame(html, id=str(self._board.position)))
