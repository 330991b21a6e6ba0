"""What a client process says: its last lines in memory, and all of them in a file of bounded size."""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

LINES = 1000
LINE_BYTES = 8192
FILE_BYTES = 8 * 1024 * 1024
TAIL_BYTES = 256 * 1024
DRAIN_S = 0.5


class Output:
    """`lines`: the last 1,000, those of an earlier launcher too. file: set aside as `.1` when it has grown to 8 MB.

    moved(): called for each line.
    """

    def __init__(self, file: Path, *, moved: Callable[[], None] = lambda: None) -> None:
        self.file = file
        self._moved = moved
        self.lines: deque[str] = deque(_tail(file), maxlen=LINES)
        self._out: IO[bytes] | None = None
        self._size = 0

    def add(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r\n")
        self.lines.append(text)
        self._moved()
        data = text.encode() + b"\n"
        with contextlib.suppress(OSError):  # a full disk: what is in memory goes on
            self._write(data)

    def say(self, text: str) -> None:
        """A line of the launcher's own."""
        self.add(f"launcher: {text}".encode())

    def last(self, count: int) -> list[str]:
        return list(self.lines)[-count:] if count else []

    def close(self) -> None:
        if self._out is not None:
            self._out.close()
            self._out = None

    def _write(self, data: bytes) -> None:
        if self._out is None:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._out = self.file.open("ab", buffering=0)
            self._size = self.file.stat().st_size
        if self._size + len(data) > FILE_BYTES:
            self.close()
            self.file.replace(self.file.with_suffix(".log.1"))
            self._out = self.file.open("ab", buffering=0)
            self._size = 0
        self._out.write(data)
        self._size += len(data)


class Pipe(asyncio.Protocol):
    """Cuts what comes through a pipe into lines. `await Pipe.open(each)`, give `write_fd` to a child, `sent()`, `end()`."""

    def __init__(self, each: Callable[[bytes], None]) -> None:
        self.write_fd = -1
        self._each = each
        self._rest = b""
        self._transport: asyncio.BaseTransport | None = None
        self._done = asyncio.Event()

    @classmethod
    async def open(cls, each: Callable[[bytes], None]) -> "Pipe":
        read_fd, write_fd = os.pipe()
        pipe = cls(each)
        pipe.write_fd = write_fd
        reader = os.fdopen(read_fd, "rb", buffering=0)
        pipe._transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: pipe, reader)
        return pipe

    def sent(self) -> None:
        """The child has its end: close ours, so that its death ends the pipe."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    async def end(self) -> None:
        """What the child said last is waited for; children of its own that still hold the pipe are not."""
        self.sent()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self._done.wait()
        if self._transport is not None:
            self._transport.close()
        self._flush()

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._each(line[:LINE_BYTES])
        while len(rest) > LINE_BYTES:
            self._each(rest[:LINE_BYTES])
            rest = rest[LINE_BYTES:]
        self._rest = rest

    def connection_lost(self, _: Exception | None) -> None:
        self._flush()
        self._done.set()

    def _flush(self) -> None:
        if self._rest:
            rest, self._rest = self._rest, b""
            self._each(rest)


def _tail(file: Path) -> list[str]:
    try:
        with file.open("rb") as source:
            size = source.seek(0, os.SEEK_END)
            source.seek(max(size - TAIL_BYTES, 0))
            lines = source.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > TAIL_BYTES else lines
