"""How a run is told to stop, from any thread; child runs share the signal of their parent."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Literal

from perfect_sdk.recording.journal import FlowSuspended, RunCancelledError, RunSupersededError


class Stop:
    """kind: None while the run may go on; "suspend": its `run.suspended` is written, and it goes on later. by: who wants it, when `run.cancelling` is still to be written."""

    __slots__ = ("_future", "_lock", "_wakers", "by", "kind", "reason")

    def __init__(self) -> None:
        self.kind: Literal["cancel", "abandon", "suspend"] | None = None
        self.by: str | None = None
        self.reason: BaseException | None = None
        self._future: Future[None] | None = None
        self._lock = threading.Lock()
        self._wakers: list[Callable[[], None]] = []

    @property
    def future(self) -> Future[None]:
        """Done once the run is to stop; made when first asked for."""
        with self._lock:
            if self._future is None:
                self._future = Future()
                if self.kind is not None:
                    self._future.set_result(None)
            return self._future

    def cancel(self, by: str | None) -> None:
        with self._lock:
            if self.kind is not None:
                return
            self.kind, self.by = "cancel", by
        self._wake()

    def suspend(self) -> None:
        with self._lock:
            if self.kind is not None:
                return
            self.kind = "suspend"
        self._wake()

    def abandon(self, reason: BaseException | None = None) -> None:
        with self._lock:
            if self.kind == "abandon":
                return
            self.kind, self.reason = "abandon", reason
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            wakers = list(self._wakers)
            if self._future is not None and not self._future.done():
                self._future.set_result(None)
        for wake in wakers:
            wake()

    def add(self, wake: Callable[[], None]) -> None:
        """`wake` is called once the run is to stop, from the thread that says so; at once when it has been said."""
        with self._lock:
            self._wakers.append(wake)
            now = self.kind is not None
        if now:
            wake()

    def remove(self, wake: Callable[[], None]) -> None:
        with self._lock:
            self._wakers.remove(wake)

    def raise_(self) -> None:
        if self.kind == "abandon":
            raise RunSupersededError("the run has been taken over or given up here")
        if self.kind == "suspend":
            raise FlowSuspended("the run waits; its code is called again when the wait is over")
        raise RunCancelledError("the run is being cancelled")

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise as soon as the run is to stop."""
        if seconds > 0:
            try:
                self.future.result(seconds)
            except TimeoutError:
                return
        if self.kind is not None:
            self.raise_()
