"""How one run's events reach the stream: by the process's wire, from the thread that says them, or by the outbox.

The wire is for a thread that speaks alone in its run and waits for each acknowledgement anyhow: sync code without an event
loop. The outbox takes everything else: what async code says, what many threads of a run say at once (each of them has
many messages under way), what the wire could not deliver. A run does not use one while what it said by the other may
still be under way, so its events stand on the stream in the order in which they were said.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from perfect_bus.answer import Answer
from perfect_bus.outbox import Ack
from perfect_bus.wire import NO_WIRE, Message
from perfect_schemas.errors import BusUnavailable

if TYPE_CHECKING:
    from perfect_sdk.connecting.io import IO

ALONE = 6  # after others have spoken: so many events by one thread in a row, and it is taken to speak alone

Headers = Mapping[str, str]
Done = Callable[[Ack | BusUnavailable], None]


class Lane:
    """The way of one run's events. Thread-safe. Those that are committed are waited for, the others are not."""

    def __init__(self, io: "IO") -> None:
        self._io = io
        self._direct = io.direct
        self._counting = threading.Lock()
        self._posted = 0  # how many went to the outbox
        self._answered = 0  # the last committed one of them that was answered, and with it all before it
        self._token = 0  # of the last one on the wire
        self._speaker = 0  # the thread that said the last one
        self._alone = 0  # how many it said before, since another one spoke

    def emit(self, subject: str, data: bytes, msg_id: str) -> None:
        if self._may_be_direct():
            token = self._direct.send(subject, data, msg_id, None, self._again)
            self._token = max(token, 0)
            if token != NO_WIRE:
                self._direct.watch()
                return
        if self._io.is_full:
            self._io.wait_for_room()
        self._post(subject, data, msg_id, None, None)

    def commit(self, subject: str, data: bytes, msg_id: str, headers: Headers | None) -> Ack | BusUnavailable:
        """Blocks until it is answered."""
        answer = Answer()
        token = NO_WIRE
        if self._may_be_direct():
            token = self._direct.send(
                subject, data, msg_id, headers, lambda message: self._put(*message[:4], answer.give), answer
            )
            if token > 0:
                self._direct.wait(token, answer)
        if token == NO_WIRE:
            self._post(subject, data, msg_id, headers, answer.give)
        return answer.wait()

    def commit_soon(
        self, subject: str, data: bytes, msg_id: str, headers: Headers | None, done: Done
    ) -> None:
        """`done` is called on the I/O thread. For async code."""
        self._post(subject, data, msg_id, headers, done)

    def _may_be_direct(self) -> bool:
        thread = threading.get_ident()
        if thread == self._speaker:
            self._alone += 1
        else:
            self._alone = 0 if self._speaker else ALONE
            self._speaker = thread
        if self._alone < ALONE:
            return False
        return self._posted == self._answered and asyncio._get_running_loop() is None

    def _post(
        self, subject: str, data: bytes, msg_id: str, headers: Headers | None, done: Done | None
    ) -> None:
        if self._token:
            self._direct.settle(self._token)
            self._token = 0
        self._put(subject, data, msg_id, headers, done)

    def _again(self, message: Message) -> None:
        self._put(message.subject, message.data, message.id, message.headers, None)

    def _put(
        self, subject: str, data: bytes, msg_id: str, headers: Headers | None, done: Done | None
    ) -> None:
        with self._counting:
            self._posted += 1
            number = self._posted
        if done is None:
            self._io.put(subject, data, msg_id, headers)
            return

        def answered(ack: Ack | BusUnavailable) -> None:
            self._answered = max(self._answered, number)
            done(ack)

        self._io.put(subject, data, msg_id, headers, answered)
