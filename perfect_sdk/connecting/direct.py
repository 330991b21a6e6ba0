"""`Direct`: the wire of a process, when to open it, and what becomes of messages that it did not deliver.

A message that was written and not answered within a second or two, by whatever reason, goes to the outbox.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from perfect_bus.outbox import WRONG_LAST_SEQUENCE, Ack
from perfect_bus.wire import Message, Wire

if TYPE_CHECKING:
    from perfect_sdk.connecting.io import IO

REOPEN_S = 1.0  # between two attempts to open the wire
LOOK_S = 1.0  # after which an unanswered message goes to the outbox
REST_S = 60.0  # after which the wire may have been closed by the server
MAX_FLYING = 256
NO_WIRE = 0
LOST = -1


class Direct:
    """The wire of a process, opened when it is first used. Whoever uses it holds `lock`."""

    def __init__(self, io: "IO") -> None:
        self._io = io
        self.lock = threading.Lock()
        self.wire: Wire | None = None
        self._not_before = 0.0 if Wire.serves(io.connection) else float("inf")
        self._is_watched = False
        self._closed = False

    def is_flying(self, token: int) -> bool:
        wire = self.wire
        return wire is not None and token in wire.flying

    # -- holding the lock

    def send(
        self,
        subject: str,
        data: bytes,
        msg_id: str,
        headers: Mapping[str, str] | None,
        again: Callable[[Message], None],
    ) -> int:
        """Write one message. Returns its token, NO_WIRE, or LOST: then `again` was called with it."""
        wire = self.wire
        if wire is None or time.monotonic() - wire.used_at > REST_S or len(wire.flying) >= MAX_FLYING:
            wire = self._ready()
            if wire is None:
                return NO_WIRE
        try:
            return wire.send(subject, data, msg_id, headers, again)
        except OSError:
            self.give_up()
            return LOST
        except BaseException:
            self.give_up()
            raise

    def answer(self, token: int) -> Ack | None:
        """The answer to a message, if it is one to go by; None: its `again` was called."""
        wire = self.wire
        assert wire is not None
        try:
            ack = wire.wait(token)
        except OSError:
            self.give_up()
            return None
        except BaseException:
            self.give_up()
            raise
        if ack.error is not None and ack.error.err_code != WRONG_LAST_SEQUENCE:
            self.give_up()
            return None
        wire.flying.pop(token, None)
        if wire.flying:
            self.settle()
        return ack

    def settle(self) -> None:
        """Wait until everything on the wire is stored, or in the outbox."""
        wire = self.wire
        if wire is None or not wire.flying:
            return
        try:
            wire.settle()
        except OSError:
            self.give_up()
        except BaseException:
            self.give_up()
            raise
        else:
            if wire.flying:
                self.give_up()

    def give_up(self) -> None:
        """Close the wire; the outbox gets what it did not deliver."""
        wire, self.wire = self.wire, None
        self._not_before = time.monotonic() + REOPEN_S
        if wire is not None:
            for message in wire.close():
                message.again(message)

    def _ready(self) -> Wire | None:
        """A wire that is open and has room."""
        wire = self.wire
        if wire is not None:
            try:
                wire.take()
            except OSError:
                self.give_up()
                self._not_before = 0.0
            else:
                if len(wire.flying) >= MAX_FLYING:
                    self.settle()
        if self.wire is None and not self._closed and time.monotonic() >= self._not_before:
            try:
                self.wire = Wire.connect(self._io.connection, name=f"{self._io.name} wire")
            except (OSError, ValueError):
                self._not_before = time.monotonic() + REOPEN_S
        return self.wire

    # -- what was sent and not waited for

    def watch(self) -> None:
        """Look after a while whether everything was answered. Costs nothing when that is being done already."""
        if not self._is_watched:
            self._is_watched = True
            self._io.post(self._look_later)

    def _look_later(self) -> None:
        self._io.loop.call_later(LOOK_S, self._look)

    def _look(self) -> None:
        """On the I/O loop, which never waits for the lock: whoever has it reads the answers itself."""
        if self.lock.acquire(blocking=False):
            try:
                if not self._is_anything_late():
                    self._is_watched = False
                    return
            finally:
                self.lock.release()
        self._look_later()

    def _is_anything_late(self) -> bool:
        """Whether to look again. What is late goes to the outbox."""
        wire = self.wire
        if wire is None:
            return False
        try:
            wire.take()
        except OSError:
            self.give_up()
            return False
        oldest = next(iter(wire.flying.values()), None)
        if oldest is not None and time.monotonic() - oldest.sent_at > LOOK_S:
            self.give_up()
            return False
        return oldest is not None

    # -- its end

    def close(self, timeout_s: float) -> None:
        """Wait for what was sent, at most `timeout_s` for whoever uses the wire just now."""
        self._closed = True
        if self.lock.acquire(timeout=timeout_s):
            try:
                self.settle()
                self.give_up()
            finally:
                self.lock.release()

    def forget(self) -> None:
        """In a forked child: the connection is the parent's, and so is what was sent on it."""
        wire, self.wire = self.wire, None
        self.lock = threading.Lock()
        self._is_watched = False
        if wire is not None:
            wire.close()
