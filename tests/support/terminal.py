"""A terminal of a given width, and a command that runs in it."""

import asyncio
import fcntl
import os
import pty
import re
import struct
import termios
from pathlib import Path

from commands import PERFECT

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """What a command shows on a terminal. `said`: all of it, without colours and movements of the cursor."""

    def __init__(self, columns: int, rows: int = 30) -> None:
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.raw = b""
        self._changed = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None

    @property
    def said(self) -> str:
        return ESCAPE.sub("", self.raw.decode(errors="replace"))

    async def start(self, *arguments: str, cwd: Path) -> None:
        environment = {
            name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
        }
        self.process = await asyncio.create_subprocess_exec(
            *PERFECT, *arguments, cwd=cwd, env={**environment, "TERM": "xterm-256color"},
            stdin=self._theirs, stdout=self._theirs, stderr=self._theirs, start_new_session=True,
        )  # fmt: skip
        os.close(self._theirs)
        asyncio.get_running_loop().add_reader(self._ours, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # the other side is closed
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._ours)
        self.raw += data
        self._changed.set()

    async def until(self, text: str, timeout_s: float = 60) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                while text not in self.said:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"did not show {text!r} within {timeout_s} s:\n{self.said}") from None

    async def ended(self, timeout_s: float = 60) -> int:
        """The exit code."""
        assert self.process is not None
        async with asyncio.timeout(timeout_s):
            code = await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._ours)
        self._drain()
        os.close(self._ours)
        return code

    def _drain(self) -> None:
        os.set_blocking(self._ours, False)
        try:
            while data := os.read(self._ours, 65536):
                self.raw += data
        except OSError:
            pass


async def shown(columns: int, *arguments: str, cwd: Path) -> str:
    """What a command shows that ends by itself."""
    terminal = Terminal(columns)
    await terminal.start(*arguments, cwd=cwd)
    await terminal.ended()
    return terminal.said
