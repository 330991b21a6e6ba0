"""One process a file: a lock that the process itself holds, so that it outlives neither the process nor is outlived."""

import fcntl
import os
from pathlib import Path


def take(file: Path) -> int | None:
    """The descriptor of the lock, to be passed on to the process, or None when another one holds it."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
