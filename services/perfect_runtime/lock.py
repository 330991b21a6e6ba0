"""One system a data folder: a lock that the kernel drops with the last process that holds it."""

import contextlib
import fcntl
import os
import time
from pathlib import Path

from perfect_runtime.errors import CannotStart

LOCK_FILE = "lock"
HANDOVER_S = 5.0


class DataDirLock:
    """The lock on one data folder, holding the pid of its owner.

    The embedded nats-server inherits the descriptor: as long as it lives, even after the death of its parent, nobody
    opens its files a second time.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        if self._descriptor is None:
            raise RuntimeError("the lock is not held")
        return self._descriptor

    def acquire(self) -> None:
        """Raises CannotStart naming the owner. Waits up to 5 s for the children of a dead owner to end."""
        descriptor = os.open(self.data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + HANDOVER_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                if _is_alive(owner) or time.monotonic() > deadline:
                    os.close(descriptor)
                    raise CannotStart(
                        f"the data folder {self.data_dir} is in use by another Perfect system (pid {owner or '?'}). "
                        "Stop that one first, or choose another folder with --data-dir."
                    ) from None
                time.sleep(0.02)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    return int(pid) > 0
