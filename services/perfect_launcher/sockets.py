"""Unix sockets by files: their addresses hold 108 bytes, the paths of data folders are longer."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

BACKLOG = 8


def listen(file: Path) -> socket.socket:
    """In place of one that nobody listens to any more. Raises OSError."""
    file.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(file) as address:
            listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def connect(file: Path) -> socket.socket | None:
    """A connection that does not block, None when nobody listens. Raises OSError when it is too busy to be reached."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.setblocking(False)
    try:
        with _address(file) as address:
            client.connect(address)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        client.close()
        return None
    except OSError:
        client.close()
        raise
    return client


@contextlib.contextmanager
def _address(file: Path) -> Iterator[str]:
    if sys.platform != "linux":
        yield str(file)
        return
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{file.name}"
    finally:
        os.close(folder)
