"""Submitted tasks in processes of their own: `@flow(task_runner=ProcessPoolTaskRunner(max_workers=4))`.

A thread of the pool does what it always does for a call: it waits for the inputs, records, tries again. Only the task's
function runs elsewhere: in the process that belongs to the thread. What the function says meanwhile (log lines, tasks
that it calls) comes back over their pipe and is recorded here, so a resumed run knows it all the same.

A process that dies is the failure of the one task that it ran (TaskCrashed); the next one gets another process. It is
ended when `timeout_seconds` has passed, or when the run is to stop.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from perfect_sdk.exceptions import TaskCrashed
from perfect_sdk.running.effects import Commit
from perfect_sdk.submitting import process_work
from perfect_sdk.submitting.pool import ThreadPoolTaskRunner

if TYPE_CHECKING:
    from perfect_sdk.calling.execution import Call
    from perfect_sdk.calling.task_body import Body

_ASKED = frozenset({"store", "load", "recall", "remember"})


class ProcessPoolTaskRunner(ThreadPoolTaskRunner):
    """At most so many submitted calls run at a time, each in a process. max_workers: None means one for each core.

    Functions, arguments and results go through pickle; functions are found by module and name, so they are at the top
    level of a module. A script that uses it has its calls under `if __name__ == "__main__":`.
    """

    uses_processes = True

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__(max_workers or os.cpu_count() or 1)

    def __repr__(self) -> str:
        return f"ProcessPoolTaskRunner(max_workers={self.max_workers})"


class Processes:
    """Those of one run, a process a thread."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._all: set[Child] = set()
        self._lock = threading.Lock()

    def run(self, body: "Body") -> Any:
        """What the task's function returns or raises. Raises TaskCrashed, UnsendableArguments, UnsendableResult."""
        work = process_work.pack(body)
        child: Child | None = getattr(self._local, "child", None)
        if child is None or not child.is_alive:
            child = self._local.child = Child()
            with self._lock:
                self._all.add(child)
        try:
            return child.run(body, work)
        finally:
            if not child.is_alive:
                with self._lock:
                    self._all.discard(child)

    def close(self) -> None:
        with self._lock:
            children = list(self._all)
            self._all.clear()
        for child in children:
            child.close()


class _Gone(Exception):
    """The process has ended."""


class Child:
    """One process, as the thread sees it that it works for."""

    def __init__(self) -> None:
        from perfect_sdk.submitting.process_child import main

        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=main, args=(theirs,), name="perfect-task", daemon=True)
        self._process.start()
        theirs.close()

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def close(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def run(self, body: "Body", work: bytes) -> Any:
        call = body.call
        stop = call.session.stop
        stop.add(self._process.kill)
        is_done = False
        try:
            with contextlib.suppress(OSError):  # it is gone: seen below
                self._pipe.send_bytes(work)
            while True:
                said = self._next(body)
                is_done = said[0] in ("done", "failed")
                if said[0] == "done":
                    return process_work.unpack_result(said[1])
                if said[0] == "failed":
                    raise process_work.unpack_error(*said[1:])
                self._serve(call, *said)
        except _Gone:
            self._process.join(1)  # it is ending: how is what there is to say
            self._process.kill()
            self._process.join()
            if stop.kind is not None:
                stop.raise_()
            raise TaskCrashed(
                f"the process that ran task {call.place.key!r} {_ending(self._process.exitcode)}"
            ) from None
        finally:
            stop.remove(self._process.kill)
            if not is_done:
                self._process.kill()
                self._process.join()

    def _next(self, body: "Body") -> tuple[Any, ...]:
        left = None if body.deadline is None else max(body.deadline - time.monotonic(), 0)
        ready = connection.wait([self._pipe, self._process.sentinel], left)
        if not ready:
            body.check_time()
        if self._pipe in ready:
            with contextlib.suppress(EOFError, OSError):
                return pickle.loads(self._pipe.recv_bytes())  # noqa: S301  from our own child
        raise _Gone

    def _serve(self, call: "Call", what: str, *arguments: Any) -> None:
        """Do for the child what it cannot do itself."""
        session = call.session
        if what == "log":
            session.journal.log(*arguments)
        elif what == "live":
            session.journal.live(*arguments)
        elif what == "emit":
            session.emit(*arguments)
        elif what == "commit" or what in _ASKED:
            answer: tuple[Any, BaseException | None]
            try:
                if what == "commit":
                    answer = (Commit(session, arguments[0]).run(), None)
                else:
                    answer = (getattr(session.journal, what)(*arguments), None)
            except BaseException as error:
                answer = (None, error)
            with contextlib.suppress(OSError):  # it is gone: seen with what it says next
                self._pipe.send_bytes(process_work.pack_answer(*answer))


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
