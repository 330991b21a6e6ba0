"""Runs that the engine offers to this worker: hand-overs that need not wait for their turn in the stream WORK.

An offer may get lost, and nobody answers it: the claim does. What is not claimed soon comes by WORK as well, and whoever of the
two claims second is refused.
"""

from collections import deque
from collections.abc import Callable

import msgspec
from nats.aio.msg import Msg

from perfect_bus import Bus
from perfect_schemas import subjects
from perfect_schemas.commands import HandOver

_decode = msgspec.json.Decoder(HandOver).decode


class Offers:
    """`free()`: how many more runs there is room for. `take(hand_over, None)`: gets each one when there is."""

    def __init__(
        self,
        bus: Bus,
        client_id: str,
        *,
        free: Callable[[], int],
        take: Callable[[HandOver, None], None],
        say: Callable[[str], None],
    ) -> None:
        self._bus = bus
        self._subject = subjects.control_run(client_id)
        self._free = free
        self._take = take
        self._say = say
        self._waiting: deque[HandOver] = deque()
        self._stopped = False

    async def start(self) -> None:
        await self._bus.nc.listen(self._subject, self._heard)

    def next(self) -> None:
        """Take what waits while there is room. Call it when a slot has become free."""
        while self._waiting and self._free() > 0:
            self._take(self._waiting.popleft(), None)

    def stop(self) -> None:
        """Take nothing more."""
        self._stopped = True
        self._waiting.clear()

    def _heard(self, msg: Msg) -> None:
        if self._stopped:
            return
        try:
            self._waiting.append(_decode(msg.data))
        except msgspec.DecodeError as error:
            self._say(f"an offered run cannot be read and is left to others: {error}")
        else:
            self.next()
