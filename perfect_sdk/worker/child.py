"""One executor process as its supervisor sees it: started warm, heard over a socket, known to be dead at once."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from perfect_bus.forked import Forked
from perfect_sdk.worker.clock import boot_time
from perfect_sdk.worker.forked import ForkedExecutor
from perfect_sdk.worker.frames import (
    Ended,
    Frame,
    FrameStream,
    Ready,
    Serve,
    Stop,
    TaskEnded,
    ToExecutor,
    Unwound,
)

REAP_S = 0.5


class Child:
    """`on_ready(child, frame)`, `on_ended(child, frame)`, `on_died(child)`: called on the supervisor's loop.

    runs: the (run id, epoch) pairs that it holds. tasks: dispatches of distributed tasks. killed_for: why the supervisor
    ended it, None when it died by itself. solo: started for one run that may be what kills executors.
    """

    def __init__(
        self,
        number: int,
        *,
        solo: bool = False,
        on_ready: Callable[["Child", Ready], None],
        on_ended: Callable[["Child", Ended | Unwound | TaskEnded], None],
        on_died: Callable[["Child"], None],
    ) -> None:
        self.number = number
        self.solo = solo
        self.runs: set[tuple[str, int]] = set()
        self.tasks: set[str] = set()
        self.is_ready = False
        self.was_ready = False
        self.killed_for: str | None = None
        self.started_at = time.monotonic()
        self._on_ready = on_ready
        self._on_ended = on_ended
        self._on_died = on_died
        self._died = False
        self._stopped_at: float | None = None
        self._pidfd: int | None = None
        self._process: subprocess.Popen[bytes] | Forked | None = None
        self._stream: FrameStream | None = None

    async def start(self, serve: Serve, forked: ForkedExecutor | None = None) -> None:
        """forked: the process that it is to be; None: a new Python."""
        ours = self._spawn() if forked is None else forked.socket
        if forked is not None:
            self._process = forked.process
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        _, self._stream = await loop.create_unix_connection(
            lambda: FrameStream(self._heard, self._gone), sock=ours
        )
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(OSError):
                self._pidfd = os.pidfd_open(self.pid)
                loop.add_reader(self._pidfd, self._gone)
        self._stream.send(serve)

    def _spawn(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "perfect_sdk.worker.executor", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def is_alive(self) -> bool:
        return not self._died

    @property
    def is_idle(self) -> bool:
        return not self.runs and not self.tasks

    def send(self, frame: ToExecutor) -> None:
        if self._stream is not None and not self._died:
            self._stream.send(frame)

    def dismiss(self) -> None:
        """It has nothing left to do: it ends by itself."""
        self.is_ready = False
        self.killed_for = self.killed_for or "it has nothing left to do"
        self.send(Stop())

    def kill(self, why: str) -> None:
        """SIGKILL; `on_died` follows. Works also where the event loop has not run for long."""
        self.killed_for = self.killed_for or why
        if self._process is not None and not self._died:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    def stopped_for(self) -> float:
        """Seconds since a signal (SIGSTOP, SIGTSTP) has stopped it, as far as earlier calls have seen; 0 while it may
        run. The kernel tells its parent: an executor that is merely busy, however long, is never taken for stopped.
        """
        if self._process is None or self._died or not hasattr(os, "waitid"):
            return 0.0
        try:
            change = os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WCONTINUED | os.WNOHANG)
        except ChildProcessError:
            return 0.0
        if change is not None:
            self._stopped_at = None if change.si_code == os.CLD_CONTINUED else boot_time()
        return 0.0 if self._stopped_at is None else boot_time() - self._stopped_at

    def _heard(self, frame: Frame) -> None:
        if isinstance(frame, Ready):
            self.is_ready = self.was_ready = True
            self._on_ready(self, frame)
        elif isinstance(frame, (Ended, Unwound, TaskEnded)):
            self._on_ended(self, frame)

    def _gone(self) -> None:
        """The process has ended, or at least closed its socket, which comes to the same."""
        if self._died or self._process is None:
            return
        self._died = True
        self.is_ready = False
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(REAP_S)
        if self._stream is not None:
            self._stream.close()
        self._on_died(self)

    def epitaph(self) -> str:
        """How it ended, for people."""
        code = self._process.returncode if self._process else None
        if code is None:
            return "closed its connection"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"was killed by {signal.Signals(-code).name}"
            return f"was killed by signal {-code}"
        return f"exited with code {code}"
