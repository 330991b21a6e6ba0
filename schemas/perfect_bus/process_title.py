"""What `ps` shows of this process, where it was forked and so has the command line of its parent."""

import contextlib
import ctypes
from collections.abc import Sequence
from pathlib import Path

ARG_START, ARG_END = 45, 46  # of the fields after the name in /proc/PID/stat, as proc(5) has them less three


def show_as(words: Sequence[str]) -> None:
    """Write `words` over the command line, cut to the room that it has. Linux only; elsewhere nothing happens."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[ARG_START]), int(fields[ARG_END])
        room = end - start
        if room > 1:
            text = "\0".join(words).encode()[: room - 1]
            ctypes.memmove(start, text.ljust(room, b"\0"), room)
