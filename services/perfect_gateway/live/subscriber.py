"""One listening connection: a bounded queue of encoded frames, and the async iterator that the response streams."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

MAX_FRAMES = 512
MAX_BYTES = 4 * 1024 * 1024
WRITE_BYTES = 256 * 1024
PING_S = 15.0


class Subscriber:
    """A reader too slow for the bound loses its queue and is told so: `overflow` (a whole frame) stands in its place.

    `overflow=None`: nothing is said; the reader sees `overflowed` and reads the streams itself.
    """

    def __init__(
        self, *, ping: bytes, overflow: bytes | None, max_frames: int = MAX_FRAMES, max_bytes: int = MAX_BYTES
    ) -> None:
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._ping = ping
        self._overflow = overflow
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self.overflowed = False
        self.closed = False

    def push(self, frame: bytes) -> None:
        if self.overflowed or self.closed:
            return
        if len(self._frames) >= self._max_frames or self._bytes + len(frame) > self._max_bytes:
            self._frames.clear()
            self._bytes = 0
            self.overflowed = True
            if self._overflow is not None:
                self._frames.append(self._overflow)
        else:
            self._frames.append(frame)
            self._bytes += len(frame)
        self._wake.set()

    def close(self) -> None:
        """The stream ends after what is queued."""
        self.closed = True
        self._wake.set()

    def reset(self) -> None:
        """Listen anew after an overflow or before catching up."""
        self._frames.clear()
        self._bytes = 0
        self.overflowed = False

    def _take(self) -> bytes:
        """Some of the frames, joined: few writes for many small ones, none that is very large."""
        taken = [self._frames.popleft()]
        size = len(taken[0])
        while self._frames and size + len(self._frames[0]) <= WRITE_BYTES:
            taken.append(self._frames.popleft())
            size += len(taken[-1])
        self._bytes = max(self._bytes - size, 0)
        return b"".join(taken)

    async def frames(self) -> AsyncIterator[bytes]:
        """Frames as they come, several joined when several wait; a ping after 15 s of silence.

        Ends when closed, or at an overflow about which nothing is said.
        """
        while True:
            if self._frames:
                joined = self._take()
                if self._overflow is not None:
                    self.overflowed = False
                yield joined
                continue
            if self.closed or self.overflowed:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(PING_S):
                    await self._wake.wait()
            except TimeoutError:
                yield self._ping
