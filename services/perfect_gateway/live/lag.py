"""Whether the read model keeps up, for the badge that every open page shows when it does not.

The projector says how far it is after its commits; what is on the stream is heard here. A timer runs only while an event
is known that the projector has not committed, so an idle system stays idle, and a projector that is gone is noticed too.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec

import perfect_ui
from perfect_bus import Bus
from perfect_schemas import subjects
from perfect_schemas.commands import ReadPosition

LATE_S = 1.0

_decode = msgspec.json.Decoder(ReadPosition).decode


class Lag:
    """A listener of the follower. show(frame): called with what every page is to show from now on.

    `frame`: the badge as long as it is shown, None while the read model keeps up.
    """

    def __init__(
        self,
        show: Callable[[bytes], None],
        *,
        late_s: float = LATE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.frame: bytes | None = None
        self._show = show
        self._late_s = late_s
        self._clock = clock
        self._seen = 0
        self._committed = 0
        self._mark = (0, 0.0)  # an event that is not committed, and when it was heard
        self._timer: asyncio.TimerHandle | None = None
        self._subscription: Any = None

    async def start(self, bus: Bus) -> None:
        async def said(msg: Any) -> None:
            self.committed(_decode(msg.data).events)

        self._subscription = await bus.nc.subscribe(subjects.read_position(), cb=said)

    def close(self) -> None:
        self._stop()

    def on_event(self, seq: int, _run_id: str, _data: bytes, /) -> None:
        self._seen = seq
        if self._timer is None and seq > self._committed:
            self._watch()

    def on_log(self, _seq: int, _run_id: str, _data: bytes, /) -> None:
        """Lines do not count: they are shown from their own stream."""

    def on_definition(self, _kind: str, _data: bytes, /) -> None:
        """Neither do definitions."""

    def committed(self, seq: int) -> None:
        self._committed = seq
        if self._timer is None or seq < self._mark[0]:
            return
        self._stop()
        if self.frame is not None:
            self.frame = None
            self._show(_drawn(0))
        if self._seen > seq:
            self._watch()

    def _watch(self) -> None:
        self._mark = (self._seen, self._clock())
        self._timer = asyncio.get_running_loop().call_later(self._late_s, self._late)

    def _late(self) -> None:
        """What is marked has not been committed for so long: say it, and how long, until it is."""
        self.frame = _drawn(self._clock() - self._mark[1])
        self._show(self.frame)
        self._timer = asyncio.get_running_loop().call_later(self._late_s, self._late)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _drawn(behind_s: float) -> bytes:
    return perfect_ui.frame(perfect_ui.render("parts/read_lag.html", behind_s=round(behind_s)))
