"""A blocking connection on which a thread stores events and reads the acknowledgements itself.

An acknowledged event that goes through the event loop of another thread costs two hand-overs between threads on top of
the server's answer; here it is a write and a read. The wire does nothing about trouble: what is not simply stored is
in `flying`, in order, and whoever owns the wire gives it to the outbox, which sends the same ids again.
"""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from perfect_bus.connection import Connection
from perfect_bus.outbox import RESEND_AFTER_S, Ack, decode_ack
from perfect_schemas import ids

CONNECT_S = 2.0
_RECEIVE_BYTES = 65_536


class WireLost(OSError):
    """The connection ended, was refused, or has said nothing for RESEND_AFTER_S while an answer was due."""


class Message(NamedTuple):
    """again: called with the message when it has to be sent another way. sent_at: monotonic."""

    subject: str
    data: bytes
    id: str
    headers: Mapping[str, str] | None
    again: "Callable[[Message], None]"
    sent_at: float


class Wire:
    """Used by one thread at a time. Make it with `Wire.connect(...)`.

    flying: what was sent and is not known to be stored, by token, in order. used_at: monotonic, of the last message.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""
        self._inbox = f"_INBOX.{ids.uuid7()}"
        self._last_token = 0
        self.flying: dict[int, Message] = {}
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
            sock.settimeout(RESEND_AFTER_S)
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
    ) -> int:
        """Write one message; `wait` for its token. Raises OSError when the connection is lost."""
        self._last_token = token = self._last_token + 1
        self.used_at = now = time.monotonic()
        self.flying[token] = Message(subject, data, msg_id, headers, again, now)
        head = f"NATS/1.0\r\nNats-Msg-Id: {msg_id}\r\n"
        if headers:
            for name, value in headers.items():
                head += f"{name}: {value}\r\n"
        size = len(head) + 2
        self._socket.sendall(
            f"HPUB {subject} {self._inbox}.{token} {size} {size + len(data)}\r\n{head}\r\n".encode()
            + data
            + b"\r\n"
        )
        return token

    def wait(self, token: int) -> Ack:
        """The answer to one message; those to messages before it are taken on the way. A message that was stored
        leaves `flying`. Raises OSError when the connection is lost.
        """
        while True:
            for answered, ack in self._answers():
                if answered == token:
                    return ack
            self._receive()

    def settle(self) -> None:
        """Wait until every answer has come. What was not stored stays in `flying`. Raises OSError."""
        unanswered = set(self.flying)
        while True:
            unanswered.difference_update(token for token, _ in self._answers())
            if not unanswered:
                return
            self._receive()

    def take(self) -> None:
        """Take the answers that have come, without waiting. Raises OSError when the connection is lost."""
        self._socket.setblocking(False)
        try:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self._receive()
        finally:
            self._socket.settimeout(RESEND_AFTER_S)
        for _ in self._answers():
            pass

    def close(self) -> list[Message]:
        """End it. Returns what is not known to be stored, in order."""
        self._socket.close()
        left = list(self.flying.values())
        self.flying.clear()
        return left

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
                ack = decode_ack(rest[:size]) if words[0] == b"MSG" else _NOBODY
                if ack.error is None:
                    self.flying.pop(token, None)
                yield token, ack
                continue
            self._buffer = rest
            if line == b"PING":
                self._socket.sendall(b"PONG\r\n")
            elif line.startswith(b"-ERR"):
                raise WireLost(line.decode("utf-8", "replace"))

    def _line(self) -> bytes:
        while True:
            line, found, rest = self._buffer.partition(b"\r\n")
            if found:
                self._buffer = rest
                return line
            self._receive()

    def _receive(self) -> None:
        data = self._socket.recv(_RECEIVE_BYTES)
        if not data:
            raise WireLost("the server has closed the connection")
        self._buffer = self._buffer + data if self._buffer else data


_NOBODY = decode_ack(b'{"error":{"code":503,"description":"no stream listens"}}')
