"""A full disk makes DuckDB's file unusable until a restart: stop before.

Free space is no event that one could wait for: it is looked at before the file is opened, before each commit, and by the
clock only while there is too little of it.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

from perfect_runtime.space import MB, Space, needed, space

PLENTY = 1024 * MB
AGAIN_S = 2.0


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
