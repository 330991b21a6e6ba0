"""A blocking connection on which threads store events and read the acknowledgements themselves.

An acknowledged event that goes through the event loop of another thread costs two hand-overs between threads on top of
the server's answer; here it is a write and a read. Of several threads that wait, one reads for all of them: it leads until
its own answer is there, then the next one does. The wire does nothing about trouble: what is not simply stored is in
`flying`, in order, and whoever owns the wire gives it to the outbox, which sends the same ids again.
"""

import contextlib
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from perfect_bus.answer import Answer
from perfect_bus.connection import Connection
from perfect_bus.outbox import RESEND_AFTER_S, WRONG_LAST_SEQUENCE, Ack, decode_ack
from perfect_schemas import ids

CONNECT_S = 2.0
NO_WIRE = 0
_RECEIVE_BYTES = 65_536
_PONG = b"PONG\r\n"
_tokens = itertools.count(1)


class WireLost(OSError):
    """The connection ended, was refused, has said nothing for RESEND_AFTER_S while an answer was due, or has refused what
    only the outbox knows how to repeat.
    """


class Message(NamedTuple):
    """again: called with the message when it has to be sent another way. sent_at: monotonic. answers: who waits."""

    subject: str
    data: bytes
    id: str
    headers: Mapping[str, str] | None
    again: "Callable[[Message], None]"
    sent_at: float
    answers: tuple[Answer, ...]


class Wire:
    """Thread-safe. Make it with `Wire.connect(...)`.

    A thread that finds another one writing leaves its message to it. ending: held by whoever gives the wire up, until the
    outbox has what was flying. flying: what was sent and is not known to be stored, by token, in order. is_lost: it
    cannot be used any more. used_at: monotonic, of the last message.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""
        self._inbox = f"_INBOX.{ids.uuid7()}"
        self._mutex = threading.Lock()  # for what follows
        self._leader: Answer | None = None
        self._followers: dict[Answer, None] = {}
        self._unwritten: list[bytes] = []
        self._is_writing = False
        self.flying: dict[int, Message] = {}
        self.ending = threading.Lock()
        self.is_lost = False
        self.used_at = time.monotonic()

    @staticmethod
    def serves(connection: Connection) -> bool:
        """Whether a wire can be made: not through TLS or a WebSocket."""
        return urlsplit(connection.url).scheme == "nats"

    @classmethod
    def connect(cls, connection: Connection, *, name: str) -> "Wire":
        """Raises OSError when the server cannot be reached or refuses."""
        parts = urlsplit(connection.url)
        sock = socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 4222), CONNECT_S)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(CONNECT_S)
            wire = cls(sock)
            wire._greet(connection, name)
            # Of the kernel: with one of Python's own, each write and read would ask the kernel first whether it may.
            sock.settimeout(None)
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(RESEND_AFTER_S), 0))
        except BaseException:
            sock.close()
            raise
        return wire

    def _greet(self, connection: Connection, name: str) -> None:
        said = msgspec.json.decode(self._line().removeprefix(b"INFO "))
        if said.get("tls_required"):
            raise WireLost("the server wants TLS")
        hello: dict[str, Any] = {
            "verbose": False,
            "pedantic": False,
            "headers": True,
            "no_responders": True,
            "lang": "python",
            "version": "1",
            "protocol": 1,
            "name": name,
        }
        if connection.user:
            hello |= {"user": connection.user, "pass": connection.password}
        self._socket.sendall(
            b"CONNECT %b\r\nSUB %b.* 1\r\nPING\r\n" % (msgspec.json.encode(hello), self._inbox.encode())
        )
        while (line := self._line()) != b"PONG":
            if line.startswith(b"-ERR"):
                raise WireLost(line.decode("utf-8", "replace"))

    def send(
        self,
        subject: str,
        data: bytes,
        msg_id: str,
        headers: Mapping[str, str] | None,
        again: "Callable[[Message], None]",
        answer: Answer | None = None,
    ) -> int:
        """Write one message, now or behind what another thread is writing. Returns its token, for `wait` and `settling`;
        NO_WIRE, and nothing was done, when the wire is lost. Raises OSError when the connection is.
        """
        head = f"NATS/1.0\r\nNats-Msg-Id: {msg_id}\r\n"
        if headers:
            for name, value in headers.items():
                head += f"{name}: {value}\r\n"
        size = len(head) + 2
        token = next(_tokens)
        written = (
            f"HPUB {subject} {self._inbox}.{token} {size} {size + len(data)}\r\n{head}\r\n".encode()
            + data
            + b"\r\n"
        )
        now = time.monotonic()
        message = Message(subject, data, msg_id, headers, again, now, (answer,) if answer is not None else ())
        with self._mutex:
            if self.is_lost:
                return NO_WIRE
            self.used_at = now
            self.flying[token] = message
            is_mine = self._may_write(written)
        if is_mine:
            self._write(written)
        return token

    def _may_write(self, data: bytes) -> bool:
        """Holding `_mutex`: whether this thread is to write it. Otherwise the one does that is writing."""
        if self._is_writing:
            self._unwritten.append(data)
            return False
        self._is_writing = True
        return True

    def _write(self, data: bytes) -> None:
        try:
            while data:
                self._socket.sendall(data)
                with self._mutex:
                    data = b"".join(self._unwritten)
                    self._unwritten.clear()
                    self._is_writing = bool(data)
        except BaseException:
            self.is_lost = True
            raise

    def wait(self, token: int, answer: Answer) -> None:
        """Until it is given, by this thread or the one that leads; not when the message has left the wire: then it comes
        from elsewhere. Raises OSError to the thread that leads when the connection is lost.
        """
        with self._mutex:
            if self.is_lost or token not in self.flying:
                return
            leads = self._leader is None
            if leads:
                self._leader = answer
            else:
                self._followers[answer] = None
        if not leads:
            try:
                answer.sleep()
            except BaseException:
                with self._mutex:
                    self._followers.pop(answer, None)
                    if self._leader is answer:
                        self._hand_over()
                raise
            if answer.ack is not None or self._leader is not answer:
                return
        try:
            while answer.ack is None:
                self._receive()
                self._hand_out()
        except BaseException:
            self.is_lost = True
            raise
        with self._mutex:
            self._hand_over()

    def settling(self, token: int) -> Answer | None:
        """An answer to wait for: given when the message has left the wire, stored or not. None when it has."""
        with self.ending, self._mutex:
            message = self.flying.get(token)
            if message is None:
                return None
            answer = Answer()

            def again(left: Message) -> None:
                message.again(left)
                answer.give(_NOBODY)

            self.flying[token] = message._replace(again=again, answers=(*message.answers, answer))
            return answer

    def take(self) -> None:
        """Hand out the answers that have come, without waiting. Raises OSError when the connection is lost."""
        with self._mutex:
            if self._leader is not None or self.is_lost:
                return
            self._leader = Answer()
        try:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._receive(socket.MSG_DONTWAIT)
            self._hand_out()
        except BaseException:
            self.is_lost = True
            raise
        with self._mutex:
            self._hand_over()

    @property
    def is_read(self) -> bool:
        """Whether a thread waits for answers just now."""
        return self._leader is not None

    def oldest(self) -> float | None:
        """When the first of what is flying was sent."""
        with self._mutex:
            return next((message.sent_at for message in self.flying.values()), None)

    def shut(self) -> None:
        """End the connection. Whoever reads or writes it hears of that."""
        self.is_lost = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> list[Message]:
        """After `shut`, holding `ending`. Returns what is not known to be stored, in order."""
        with self._mutex:
            left, self.flying = list(self.flying.values()), {}
        self._socket.close()
        return left

    def drop(self) -> None:
        """In a forked child: the connection is the parent's, and goes on."""
        self._socket.close()

    # -- of the thread that leads

    def _hand_over(self) -> None:
        """Holding `_mutex`: the next one of those that wait leads."""
        self._leader = answer = next(iter(self._followers), None)
        if answer is not None:
            del self._followers[answer]
            answer.wake()

    def _hand_out(self) -> None:
        """Give the answers that are complete in the buffer to whoever waits for them."""
        came = list(self._answers())
        with self._mutex:
            for token, ack in came:
                message = self.flying.get(token)
                if message is None:
                    continue
                if ack.error is not None and ack.error.err_code != WRONG_LAST_SEQUENCE:
                    raise WireLost(f"{message.subject}: {ack.error.description}")
                del self.flying[token]
                for answer in message.answers:
                    self._followers.pop(answer, None)
                    answer.give(ack)
            oldest = next(iter(self.flying.values()), None)
        if came and oldest is not None and time.monotonic() - oldest.sent_at > RESEND_AFTER_S:
            raise WireLost("the server has not answered")

    def _answers(self) -> Iterator[tuple[int, Ack]]:
        """Of the messages that are complete in the buffer."""
        while True:
            line, found, rest = self._buffer.partition(b"\r\n")
            if not found:
                return
            if line.startswith((b"MSG ", b"HMSG ")):
                words = line.split(b" ")
                size = int(words[-1])
                if len(rest) < size + 2:
                    return
                self._buffer = rest[size + 2 :]
                token = int(words[1].rpartition(b".")[2])
                yield token, decode_ack(rest[:size]) if words[0] == b"MSG" else _NOBODY
                continue
            self._buffer = rest
            if line == b"PING":
                with self._mutex:
                    is_mine = self._may_write(_PONG)
                if is_mine:
                    self._write(_PONG)
            elif line.startswith(b"-ERR"):
                raise WireLost(line.decode("utf-8", "replace"))

    def _line(self) -> bytes:
        while True:
            line, found, rest = self._buffer.partition(b"\r\n")
            if found:
                self._buffer = rest
                return line
            self._receive()

    def _receive(self, flags: int = 0) -> None:
        data = self._socket.recv(_RECEIVE_BYTES, flags)
        if not data:
            raise WireLost("the server has closed the connection")
        self._buffer = self._buffer + data if self._buffer else data


_NOBODY = decode_ack(b'{"error":{"code":503,"description":"no stream listens"}}')
