"""Reading what the server sends: the protocol's lines, and the messages in them.

nats-py's parser tries seven patterns one after the other at the front of a buffer that it shortens message by message; this
one looks at the first letter of each line. It has the same two methods, which are all that nats-py's client uses.
"""

from typing import TYPE_CHECKING

import msgspec
from nats.errors import ProtocolError

if TYPE_CHECKING:
    from perfect_bus.client import Client

MAX_LINE_BYTES = 1024 * 1024  # the server's INFO names every server of its cluster
_WITH_HEADERS = ord("H")
_MESSAGES = b"MH"


class Parser:
    """`reset()` forgets what is incomplete; also while a `parse` waits for the client, which then ends as usual."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._rest = bytearray()
        self._needed = 0
        self._resets = 0

    def reset(self) -> None:
        self._rest = bytearray()
        self._needed = 0
        self._resets += 1

    async def parse(self, data: bytes = b"") -> None:
        """Give the client all that is complete now. Raises ProtocolError."""
        if self._rest:
            self._rest += data
            if (
                len(self._rest) < self._needed
            ):  # of a large message, that is not looked at again with each piece
                return
            data = bytes(self._rest)
        client, resets = self._client, self._resets
        at = needed = 0
        try:
            while (end := data.find(b"\r\n", at)) >= 0:
                kind, start = data[at], end + 2
                if kind not in _MESSAGES:
                    line, at = data[at:end], start
                    await self._control(line)
                    continue
                words = data[at:end].split()
                try:
                    size, sid = int(words[-1]), int(words[2])
                    inner = int(words[-2]) if kind == _WITH_HEADERS else 0
                except (IndexError, ValueError):
                    raise ProtocolError("nats: malformed MSG") from None
                stop = start + size
                if len(data) < stop + 2:
                    needed = stop + 2 - at
                    break
                reply = words[3] if len(words) == (6 if inner else 5) else b""
                headers = data[start : start + inner] if inner else b""
                at = stop + 2
                await client._process_msg(sid, words[1], reply, data[start + inner : stop], headers)
            else:
                if len(data) - at > MAX_LINE_BYTES:
                    raise ProtocolError("nats: unknown protocol")
        finally:
            if resets == self._resets:
                self._rest = bytearray(data[at:])
                self._needed = needed

    async def _control(self, line: bytes) -> None:
        client = self._client
        verb, _, rest = line.partition(b" ")
        match verb:
            case b"PING":
                await client._process_ping()
            case b"PONG":
                await client._process_pong()
            case b"+OK":
                pass
            case b"INFO":
                await client._process_info(msgspec.json.decode(rest))
            case b"-ERR":
                await client._process_err(rest.decode("utf-8", "replace").strip().lower())
            case _:
                raise ProtocolError("nats: unknown protocol")
