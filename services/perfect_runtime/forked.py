"""Processes of services that `perfect up` forks from itself, before it does anything else.

What every service imports is then imported once, its memory is shared, and the rest is imported while nats-server starts.
Who is started later, after a crash for instance, is a new Python (`keeper`); so is everything where no fork is possible.
"""

import contextlib
import gc
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from perfect_bus.forked import Forked, fork, is_possible
from perfect_bus.process_title import show_as
from perfect_bus.settings import Settings
from perfect_runtime.importing import import_shared
from perfect_runtime.parent_death import die_with_parent
from perfect_schemas.errors import InvalidInput

STOPPED = 0


class Order(msgspec.Struct, frozen=True):
    """What a forked process is told when it may begin. log: the file that it writes to; None: its parent's stderr."""

    environment: dict[str, str]
    log: str | None


class ForkedServices(Forked):
    """A process that imports its services, then waits for `begin`."""

    def __init__(self, pid: int, order: int) -> None:
        super().__init__(pid)
        self._order: int | None = order

    def begin(self, environment: Mapping[str, str], log: Path | None) -> None:
        """Let it run. That it has died meanwhile is heard of by its end."""
        if self._order is not None:
            order = Order(environment=dict(environment), log=str(log) if log is not None else None)
            with contextlib.suppress(BrokenPipeError), os.fdopen(self._order, "wb") as pipe:
                pipe.write(msgspec.json.encode(order))
            self._order = None

    def let_go(self) -> None:
        super().let_go()
        if self._order is not None:
            os.close(self._order)
            self._order = None


def fork_services(groups: Iterable[Sequence[str]]) -> dict[tuple[str, ...], ForkedServices]:
    """A process for each group of services, in this order; none where that is not possible."""
    made: dict[tuple[str, ...], ForkedServices] = {}
    if not is_possible():
        return made
    import_shared()
    gc.freeze()  # the collector leaves the pages alone that are shared
    prepare = die_with_parent(signal.SIGKILL)
    for names in groups:
        theirs, ours = os.pipe()

        def live(names: Sequence[str] = names, theirs: int = theirs, ours: int = ours) -> int:
            os.close(ours)
            for other in made.values():
                other.let_go()
            if prepare is not None:
                prepare()
            os.setsid()
            show_as(("perfect", "service", *names))
            return _serve(names, theirs)

        pid = fork(live)
        os.close(theirs)
        made[tuple(names)] = ForkedServices(pid, ours)
    return made


def _serve(names: Sequence[str], pipe: int) -> int:
    from perfect_runtime.run import load_services, run_services

    with contextlib.suppress(InvalidInput):  # said in the log, once there is one
        load_services(names)
    with os.fdopen(pipe, "rb") as orders:
        said = orders.read()
    if not said:  # the system was not started
        return STOPPED
    order = msgspec.json.decode(said, type=Order)
    os.environ.update(order.environment)
    if order.log is not None:
        log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
    return run_services(names, Settings.load())
