"""A process that was forked rather than started anew: what its parent has imported it has, too, in the same memory.

Here since the services' runtime and the SDK's worker both need it, and have nothing else in common. A fork copies the
calling thread alone, so this is for a process that has no other thread and no event loop yet. On Linux only.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

FAILED = 1
_TASKS = Path("/proc/self/task")


class Forked:
    """Ended and waited for like a `subprocess.Popen`, from any thread."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._pidfd = os.pidfd_open(pid)
        self._reaping = threading.Lock()

    def poll(self) -> int | None:
        """Its exit code (-n: signal n), None while it runs."""
        with self._reaping:
            if self.returncode is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Blocks. Raises subprocess.TimeoutExpired."""
        ended = select.poll()
        ended.register(self._pidfd, select.POLLIN)
        ended.poll(None if timeout is None else timeout * 1000)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def let_go(self) -> None:
        """In a process that was forked later: this one is not its child."""
        os.close(self._pidfd)
        self._pidfd = -1

    def _send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def __del__(self) -> None:
        if getattr(self, "_pidfd", -1) >= 0:
            os.close(self._pidfd)


def is_possible() -> bool:
    """Whether this process may fork: no thread runs beside this one, and the kernel tells how children end."""
    return (
        sys.platform == "linux"
        and hasattr(os, "pidfd_open")
        and threading.active_count() == 1
        and _TASKS.is_dir()
        and len(list(_TASKS.iterdir())) == 1
    )


def fork(live: Callable[[], int]) -> int:
    """The pid of a new process that is `live()` and ends with its exit code: it never comes back into this code."""
    pid = os.fork()
    if pid:
        return pid
    code = FAILED
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        standard_input = os.open(os.devnull, os.O_RDONLY)
        os.dup2(standard_input, 0)
        os.close(standard_input)
        code = live()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
