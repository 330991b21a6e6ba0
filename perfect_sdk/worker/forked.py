"""Executors that `perfect worker` forks from itself, before it does anything else: half the memory, and warm at once.

They have nothing of the user's yet, like a new Python. One that replaces another later is a new Python (`child`); so is
every executor where no fork is possible.
"""

import gc
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from perfect_bus.forked import Forked, fork, is_possible
from perfect_bus.process_title import show_as


class ForkedExecutor(NamedTuple):
    """socket: to the executor, which waits there to be told what it serves."""

    process: Forked
    socket: socket.socket


def fork_executors(count: int) -> list[ForkedExecutor]:
    """None where that is not possible."""
    made: list[ForkedExecutor] = []
    if not is_possible():
        return made
    import perfect_sdk.running.session
    import perfect_sdk.worker.executor
    import perfect_sdk.worker.supervisor  # noqa: F401

    gc.freeze()  # the collector leaves the pages alone that are shared
    for _ in range(count):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

        def live(ours: socket.socket = ours, theirs: socket.socket = theirs) -> int:
            ours.close()
            for other in made:
                other.socket.close()
                other.process.let_go()
            show_as(("perfect", "executor"))
            return _execute(theirs)

        pid = fork(live)
        theirs.close()
        made.append(ForkedExecutor(Forked(pid), ours))
    return made


def _execute(supervisor: socket.socket) -> int:
    """As `python -m perfect_sdk.worker.executor` does it, with the same `sys.path` and `__main__`."""
    from perfect_sdk.worker import executor

    own = ModuleType("__main__")
    own.__file__, own.__spec__ = executor.__file__, executor.__spec__
    sys.modules["__main__"] = own
    sys.argv = [executor.__file__, str(supervisor.detach())]
    if not sys.flags.safe_path:
        sys.path[0] = str(Path.cwd())
    executor.main()
    return 0
