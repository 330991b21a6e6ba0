"""What a client process says: its last lines in memory, and all of them in a file of bounded size."""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

LINES = 1000
LINE_BYTES = 8192
FILE_BYTES = 8 * 1024 * 1024
TAIL_BYTES = 256 * 1024


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

    def add(self, line: bytes) -> str:
        """Into memory and into the file. Returns it as text."""
        text = line.decode(errors="replace").rstrip("\r\n")
        self.hear(text)
        with contextlib.suppress(OSError):  # a full disk: what is in memory goes on
            self._write(text.encode() + b"\n")
        return text

    def hear(self, text: str) -> None:
        """A line that somebody else has written into the file."""
        self.lines.append(text)
        self._moved()

    def begin(self, lines: Iterable[str]) -> None:
        """The last lines as somebody else knows them, in place of those known so far."""
        self.lines.clear()
        self.lines.extend(lines)
        self._moved()

    def say(self, text: str) -> None:
        """A line of the launcher's own."""
        self.add(f"launcher: {text}".encode())

    def last(self, count: int) -> list[str]:
        return list(self.lines)[-count:] if count else []

    def tail(self) -> list[str]:
        """The last lines, at most 256 KiB of them."""
        found: list[str] = []
        left = TAIL_BYTES
        for line in reversed(self.lines):
            left -= len(line) + 1
            if left < 0:
                break
            found.append(line)
        return found[::-1]

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


class Cutter:
    """Cuts bytes into lines, long ones into pieces of 8 KiB."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        *whole, rest = (self._rest + data).split(b"\n")
        lines = [line[:LINE_BYTES] for line in whole]
        while len(rest) > LINE_BYTES:
            lines.append(rest[:LINE_BYTES])
            rest = rest[LINE_BYTES:]
        self._rest = rest
        return lines

    def end(self) -> list[bytes]:
        """What was begun and will not be ended."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


def _tail(file: Path) -> list[str]:
    try:
        with file.open("rb") as source:
            size = source.seek(0, os.SEEK_END)
            source.seek(max(size - TAIL_BYTES, 0))
            lines = source.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    return lines[1:] if size > TAIL_BYTES else lines
