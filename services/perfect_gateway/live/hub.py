"""The live part of the gateway: one follower of the streams, the board for pages, the feed for programs."""

import asyncio
from collections.abc import AsyncGenerator

import structlog

import perfect_ui
from perfect_bus import Bus
from perfect_gateway.ask import Asker
from perfect_gateway.facts import FlowBook
from perfect_gateway.live.board import Board
from perfect_gateway.live.catch_up import CatchUp, Lost
from perfect_gateway.live.feed import Feed
from perfect_gateway.live.follower import Follower
from perfect_gateway.live.lag import Lag
from perfect_gateway.live.position import Position
from perfect_gateway.live.subscriber import Subscriber
from perfect_gateway.live.wholes import Wholes
from perfect_schemas.errors import PerfectError

LOST_PAUSE_S = 1.0  # a page that cannot catch up even when it is fresh must not reload in a tight loop

log = structlog.get_logger("perfect_gateway")


class Hub:
    def __init__(self, bus: Bus, asker: Asker, flows: FlowBook) -> None:
        self.follower = Follower(bus)
        self.board = Board(bus, asker, flows, self.follower)
        self.feed = Feed(bus, self.follower)
        self.lag = Lag(self._tell_pages)
        self.follower.listen(self.lag)
        self.wholes = Wholes(self.board, self.follower)
        self.follower.listen(self.wholes)
        self._catch_up = CatchUp(bus, asker, flows, self.board)
        self._flows = flows
        self._pages: set[Subscriber] = set()
        self.closing = False

    @property
    def clients(self) -> int:
        return len(self._pages) + len(self.feed.readers)

    async def close(self) -> None:
        """End every stream; no new one begins."""
        self.closing = True
        for page in list(self._pages):
            page.close()
        self.feed.close()
        self.lag.close()
        self.wholes.close()
        self.board.close()
        await self.follower.stop()

    async def page(
        self, topics: frozenset[str], since: Position | None, *, unknown: bool
    ) -> AsyncGenerator[bytes]:
        """The stream of one tab, from `since` (None: from now) on. unknown: its position could not be read."""
        resync = perfect_ui.signal("resync")
        subscriber = Subscriber(ping=perfect_ui.signal("ping"), overflow=resync)
        if not self.follower.following:
            self._flows.changed()  # what changed while nobody looked was not heard
        self._pages.add(subscriber)
        try:
            await self.follower.acquire()
        except BaseException:
            self._pages.discard(subscriber)
            raise
        audience = self.board.audience
        audience.add(subscriber, topics)
        until = self.board.position
        try:
            if self.closing:
                return
            yield perfect_ui.signal("hello", perfect_ui.asset_version())
            if self.lag.frame is not None:
                yield self.lag.frame
            try:
                for frame in await self._missed(topics, since, until, unknown=unknown):
                    yield frame
            except (Lost, PerfectError) as error:
                if isinstance(error, PerfectError):
                    log.warning("a page could not catch up", topics=",".join(topics), error=error.detail)
                await asyncio.sleep(LOST_PAUSE_S)
                yield resync
            async for frames in subscriber.frames():
                yield frames
        finally:
            self._pages.discard(subscriber)
            audience.remove(subscriber, topics)
            self.board.forget_unwatched()
            self.follower.release()

    def _tell_pages(self, frame: bytes) -> None:
        for page in self._pages:
            page.push(frame)
        self.wholes.moved("service")

    async def _missed(
        self, topics: frozenset[str], since: Position | None, until: Position, *, unknown: bool
    ) -> list[bytes]:
        if unknown:
            raise Lost
        if since is None:
            return []
        frames = await self._catch_up.frames(topics, since, until)
        return frames + await self.wholes.frames(topics, str(until))
