"""How drawn fragments leave: with a position as their id up to which *everything* has been sent.

What waits for its turn (`pending`: what is to be drawn → the first EVENTS sequence of it that is not drawn yet) holds
the position back. So a browser that comes back with the id of its last message misses nothing; it may see something
twice, which fragments do not mind.
"""

from collections.abc import Hashable

import perfect_ui
from perfect_gateway.live.follower import Follower
from perfect_gateway.live.position import Position
from perfect_gateway.live.topics import Audience


class Outlet:
    """pending_logs: run id → the first LOGS sequence not drawn yet."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self.audience = Audience()
        self.pending: dict[Hashable, int] = {}
        self.pending_logs: dict[str, int] = {}

    @property
    def heard(self) -> Position:
        """The last messages that the follower gave."""
        return self._follower.position

    @property
    def position(self) -> Position:
        at = self._follower.position
        return Position(
            min(self.pending.values(), default=at.events + 1) - 1,
            min(self.pending_logs.values(), default=at.logs + 1) - 1,
        )

    def send(self, topic: str, html: str) -> None:
        if self.audience.has(topic):
            self.audience.send(topic, perfect_ui.frame(html, id=str(self.position)))

    def resync(self, topic: str) -> None:
        self.audience.send(topic, perfect_ui.signal("resync"))
