"""Runs that wait and hold no slot, their code still in memory: a hand-over in time lets it go on where it stands."""

import asyncio
import threading
from typing import TYPE_CHECKING

from perfect_sdk.waiting.resting import unwind

if TYPE_CHECKING:
    from perfect_sdk.recording.bus_journal import BusJournal
    from perfect_sdk.running.session import RunSession

MAX_KEPT = 100  # of an executor: each holds what the flow's code holds, and of a sync flow a thread


class Execution:
    """A run's code in this process. epoch: of its last claim. It may have a thread before it is claimed, which waits."""

    __slots__ = ("_is_let_go", "_may_begin", "epoch", "journal", "run_id", "session")

    def __init__(self, run_id: str, epoch: int, session: "RunSession", journal: "BusJournal") -> None:
        self.run_id = run_id
        self.epoch = epoch
        self.session = session
        self.journal = journal
        self._is_let_go = False
        self._may_begin = threading.Lock()

    def hold(self) -> None:
        """Whoever calls `may_begin` waits from now on, until `let` is called."""
        self._may_begin.acquire()

    def let(self, *, begin: bool) -> None:
        self._is_let_go = begin
        if self._may_begin.locked():
            self._may_begin.release()

    def may_begin(self) -> bool:
        """Waits for the claim, in the run's own thread. Whether it holds."""
        with self._may_begin:
            return self._is_let_go

    def abandon(self) -> None:
        """The run is somebody else's: its code ends, and writes nothing more."""
        self.journal.abandon()
        self.session.abandon()


class Kept:
    """On the I/O loop. keep_s: how long code stays in memory after its run was suspended; 0: never.

    Whatever is unwound reports its end like any other code, to whoever runs it, who calls `remove`.
    """

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._runs: dict[str, Execution] = {}  # the oldest first
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._empty = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._keep_s > 0

    def keep(self, execution: Execution) -> None:
        run_id = execution.run_id
        if (before := self._runs.pop(run_id, None)) is not None:
            before.abandon()
        self._runs[run_id] = execution
        self._disarm(run_id)
        if not self.is_open:
            unwind(execution.session)
            return
        self._timers[run_id] = asyncio.get_running_loop().call_later(self._keep_s, unwind, execution.session)
        for oldest in list(self._runs.values())[:-MAX_KEPT]:
            unwind(oldest.session)

    def get(self, run_id: str) -> Execution | None:
        return self._runs.get(run_id)

    def remove(self, execution: Execution) -> bool:
        """It goes on, or has ended. Whether it was kept."""
        if self._runs.get(execution.run_id) is not execution:
            return False
        del self._runs[execution.run_id]
        self._disarm(execution.run_id)
        if not self._runs:
            self._empty.set()
        return True

    def close(self) -> None:
        """Unwind everything; from now on nothing is kept."""
        self._keep_s = 0
        for execution in list(self._runs.values()):
            unwind(execution.session)

    async def gone(self, seconds: float) -> None:
        """Until all code has ended, or the time is over."""
        self._empty.clear()
        if self._runs:
            try:
                await asyncio.wait_for(self._empty.wait(), seconds)
            except TimeoutError:
                return

    def _disarm(self, run_id: str) -> None:
        if (timer := self._timers.pop(run_id, None)) is not None:
            timer.cancel()
