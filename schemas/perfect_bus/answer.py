"""What a thread waits for that has sent a message: the answer to it, whoever brings it."""

import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfect_bus.outbox import Ack
    from perfect_schemas.errors import BusUnavailable


class Answer:
    """To one message, for the thread that waits for it; given by the wire, or by the outbox. ack: None before."""

    __slots__ = ("_lock", "ack")

    def __init__(self) -> None:
        self.ack: Ack | BusUnavailable | None = None
        self._lock = threading.Lock()
        self._lock.acquire()

    def give(self, ack: "Ack | BusUnavailable") -> None:
        self.ack = ack
        self.wake()

    def wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # woken before, and not yet awake
            self._lock.release()

    def sleep(self) -> None:
        """Until it is given, or somebody wakes whoever waits for it."""
        if self.ack is None:
            self._lock.acquire()

    def wait(self) -> "Ack | BusUnavailable":
        while self.ack is None:
            self._lock.acquire()
        return self.ack
