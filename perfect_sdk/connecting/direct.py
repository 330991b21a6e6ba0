"""`Direct`: the wire of a process, when to open it, and what becomes of messages that it did not deliver.

Any number of threads speak over it. A message that was written and not answered within a second or two, by whatever
reason, goes to the outbox.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from perfect_bus.answer import Answer
from perfect_bus.wire import NO_WIRE, Message, Wire

if TYPE_CHECKING:
    from perfect_sdk.connecting.io import IO

REOPEN_S = 1.0  # between two attempts to open the wire
LOOK_S = 1.0  # after which an unanswered message goes to the outbox
REST_S = 60.0  # after which the wire may have been closed by the server
MAX_FLYING = 256
LOST = -1


class Direct:
    """The wire of a process, opened when it is first used. Thread-safe."""

    def __init__(self, io: "IO") -> None:
        self._io = io
        self.wire: Wire | None = None
        self._opening = threading.Lock()
        self._not_before = 0.0 if Wire.serves(io.connection) else float("inf")
        self._is_watched = False
        self._closed = False

    def send(
        self,
        subject: str,
        data: bytes,
        msg_id: str,
        headers: Mapping[str, str] | None,
        again: Callable[[Message], None],
        answer: Answer | None = None,
    ) -> int:
        """Write one message. Returns its token, NO_WIRE, or LOST: then `again` was called with it."""
        wire = self.wire
        if wire is None or time.monotonic() - wire.used_at > REST_S or len(wire.flying) >= MAX_FLYING:
            wire = self._ready()
            if wire is None:
                return NO_WIRE
        try:
            token = wire.send(subject, data, msg_id, headers, again, answer)
        except OSError:
            self.give_up(wire)
            return LOST
        except BaseException:
            self.give_up(wire)
            raise
        if token == NO_WIRE:
            self.give_up(wire)
        return token

    def wait(self, token: int, answer: Answer) -> None:
        """Until it has come, or the message's `again` was called."""
        wire = self.wire
        if wire is None:
            return
        try:
            wire.wait(token, answer)
        except OSError:
            self.give_up(wire)
        except BaseException:
            self.give_up(wire)
            raise

    def settle(self, token: int) -> None:
        """Wait until the message is stored, or in the outbox."""
        wire = self.wire
        answer = wire.settling(token) if wire is not None else None
        if answer is not None:
            self.wait(token, answer)
            answer.wait()

    def give_up(self, wire: Wire) -> None:
        """Close it; the outbox gets what it did not deliver."""
        wire.shut()
        with wire.ending:
            for message in wire.close():
                message.again(message)
            if self.wire is wire:
                self._not_before = time.monotonic() + REOPEN_S
                self.wire = None

    def _ready(self) -> Wire | None:
        """A wire that is open and has room."""
        wire = self.wire
        if wire is not None:
            try:
                wire.take()
            except OSError:
                self.give_up(wire)
                self._not_before = 0.0
            else:
                if len(wire.flying) >= MAX_FLYING:
                    self._settle_all(wire)
        if self.wire is None and time.monotonic() >= self._not_before:
            self._open()
        return self.wire

    def _open(self) -> None:
        """Who finds another thread at it goes by the outbox meanwhile."""
        if not self._opening.acquire(blocking=False):
            return
        try:
            if self.wire is None and not self._closed:
                self.wire = Wire.connect(self._io.connection, name=f"{self._io.name} wire")
        except (OSError, ValueError):
            self._not_before = time.monotonic() + REOPEN_S
        finally:
            self._opening.release()

    def _settle_all(self, wire: Wire) -> None:
        tokens = list(wire.flying)
        if tokens:
            self.settle(tokens[-1])

    # -- what was sent and not waited for

    def watch(self) -> None:
        """Look after a while whether everything was answered. Costs nothing when that is being done already."""
        if not self._is_watched:
            self._is_watched = True
            self._io.post(self._look_later)

    def _look_later(self) -> None:
        self._io.loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        """On the I/O loop, which never waits: whoever reads the wire looks after what is late himself."""
        wire = self.wire
        if wire is not None and (wire.is_read or self._is_anything_under_way(wire)):
            self._look_later()
        else:
            self._is_watched = False

    def _is_anything_under_way(self, wire: Wire) -> bool:
        """Whether to look again. What is late goes to the outbox."""
        try:
            wire.take()
        except OSError:
            self.give_up(wire)
            return False
        oldest = wire.oldest()
        if oldest is not None and time.monotonic() - oldest > LOOK_S:
            self.give_up(wire)
            return False
        return oldest is not None

    # -- its end

    def close(self, timeout_s: float) -> None:
        """Wait for what was sent, as long as the server answers; at most `timeout_s` for whoever opens a wire just now."""
        if self._opening.acquire(timeout=timeout_s):
            self._closed = True
            self._opening.release()
        self._closed = True
        wire = self.wire
        if wire is not None:
            self._settle_all(wire)
            self.give_up(wire)

    def forget(self) -> None:
        """In a forked child: the connection is the parent's, and so is what was sent on it."""
        wire, self.wire = self.wire, None
        self._opening = threading.Lock()
        self._is_watched = False
        if wire is not None:
            wire.drop()
