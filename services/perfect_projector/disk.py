"""A full disk makes DuckDB's file unusable until a restart: stop before.

Free space is no event that one could wait for: it is looked at before the file is opened, before each commit, and by the
clock only while there is too little of it.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

MB = 1024 * 1024
LEAST = 64 * MB  # DuckDB needs room for its log and for the blocks that a checkpoint writes anew
PLENTY = 1024 * MB
SHARE = 0.02
AGAIN_S = 2.0


class Space(NamedTuple):
    """In bytes, as far as an unprivileged process may use it."""

    total: int
    free: int


def space(folder: Path) -> Space:
    found = os.statvfs(folder)
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


def needed(total: int, min_free_bytes: int) -> int:
    """What has to stay free of a disk of `total` bytes: `min_free_bytes`, on a small disk 2 % of it; 64 MB at least."""
    return max(min(min_free_bytes, int(total * SHARE)), min(min_free_bytes, LEAST))


class DiskGuard:
    """say(text): called once when there is too little room. clear(): when there is enough again.

    measure: how much room there is; a test has its own.
    """

    def __init__(
        self,
        folder: Path,
        *,
        min_free_bytes: int,
        say: Callable[[str], None],
        clear: Callable[[], None],
        measure: Callable[[Path], Space] = space,
        again_s: float = AGAIN_S,
    ) -> None:
        self._folder = folder
        self._min_free_bytes = min_free_bytes
        self._say = say
        self._clear = clear
        self._measure = measure
        self._again_s = again_s
        self.free = 0
        self.why = ""  # nothing is written now; "" when it is

    @property
    def has_plenty(self) -> bool:
        """Enough for a long write-ahead log."""
        return self.free > PLENTY

    async def wait_for_room(self) -> None:
        while True:
            total, self.free = self._measure(self._folder)
            wanted = needed(total, self._min_free_bytes)
            if self.free >= wanted:
                break
            if not self.why:
                self.why = (
                    f"the disk of {self._folder} has {self.free // MB} MB free, {wanted // MB} MB have to stay free: "
                    "nothing is written to the read model until there is room. Events wait on the bus, and runs go on; "
                    "free some space, or set PERFECT_MIN_FREE_BYTES to less"
                )
                self._say(self.why)
            await asyncio.sleep(self._again_s)
        if self.why:
            self.why = ""
            self._clear()
