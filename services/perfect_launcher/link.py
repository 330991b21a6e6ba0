"""A launcher's connection to the holder of a client process: what it was told first, what it hears, what it asks."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from perfect_launcher import sockets

WELCOME_S = 30.0  # a new holder has to be read from disk first
ENDING_S = 5.0
MOST_BYTES = 4 * 1024 * 1024  # of one message


class Said(msgspec.Struct, frozen=True):
    """A message of the holder; see there."""

    pid: int = 0
    holder: int = 0
    age_s: float = 0.0
    lines: list[str] = []
    code: int | None = None
    failed: str = ""


class Asked(msgspec.Struct, frozen=True):
    end: float
    hurry: bool


_decode = msgspec.json.Decoder(Said).decode


class Link:
    """pid: of the client process. age_s: how long it had lived. lines: the last that it had said."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, welcome: Said) -> None:
        self.pid = welcome.pid
        self.age_s = welcome.age_s
        self.lines = welcome.lines
        self._holder = welcome.holder
        self._reader = reader
        self._writer = writer

    @classmethod
    async def find(cls, file: Path) -> "Link | None":
        """The holder that listens there, None when none does. Raises OSError when it does not answer, or could not start
        the client process.
        """
        client = sockets.connect(file)
        return await cls._welcomed(client) if client is not None else None

    @classmethod
    async def _welcomed(cls, client: socket.socket) -> "Link | None":
        reader, writer = await asyncio.open_unix_connection(sock=client, limit=MOST_BYTES)
        try:
            async with asyncio.timeout(WELCOME_S):
                said = _decode(await reader.readuntil(b"\n"))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return None  # it was just ending
        except TimeoutError:
            writer.close()
            raise OSError(f"the process that holds it does not answer within {WELCOME_S:g} s") from None
        except BaseException:
            writer.close()
            raise
        if said.failed:
            writer.close()
            raise OSError(said.failed)
        return cls(reader, writer, said)

    async def follow(self, each: Callable[[str], None]) -> int | None:
        """Until it is over: the exit code of the client process (-n: signal n), None when the connection ended first."""
        code: int | None = None
        try:
            while code is None:
                said = _decode(await self._reader.readuntil(b"\n"))
                for line in said.lines:
                    each(line)
                code = said.code
            async with asyncio.timeout(ENDING_S):
                await self._reader.read()  # the connection ends when its lock is free
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass
        return code

    def end(self, grace_s: float, *, hurry: bool) -> None:
        """SIGTERM, SIGKILL after `grace_s`, all by the holder. hurry: a second SIGTERM in between."""
        self._writer.write(msgspec.json.encode(Asked(grace_s, hurry)) + b"\n")

    def kill(self) -> None:
        """The holder, and with it what it holds: it does not do what it is asked."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._holder, signal.SIGKILL)

    def close(self) -> None:
        self._writer.close()
