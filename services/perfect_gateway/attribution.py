"""Which task a run's time belongs to, so that the parts add up to the whole even where tasks run side by side. Pure.

Each instant of the run is shared out evenly among the task runs that run in it; a task that has called another one
which runs has none of it. An instant without a task run belongs to a wait of the run, otherwise to the flow's own code.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from perfect_schemas.views import TaskRunView


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """All in ms; `tasks` by name. waiting_ms + flow_ms + the sum of tasks = total_ms."""

    total_ms: float = 0.0
    waiting_ms: float = 0.0
    flow_ms: float = 0.0
    tasks: dict[str, float] = {}


def attribute(
    tasks: Iterable[TaskRunView],
    start: datetime,
    end: datetime,
    waits: Sequence[tuple[datetime, datetime]] = (),
) -> Attribution:
    """`waits`: when the run was not executed, apart from each other. What lies outside of start to end is cut off."""

    def clipped(begin: datetime, stop: datetime | None) -> tuple[float, float]:
        stop = end if stop is None else min(stop, end)
        return (max(begin, start) - start).total_seconds() * 1000, (stop - start).total_seconds() * 1000

    ran = [task for task in tasks if task.start_time is not None]
    moments: list[tuple[float, int, int]] = []  # (when, what: ends stand before beginnings, which)
    for n, task in enumerate(ran):
        begin, stop = clipped(task.start_time, task.end_time)  # type: ignore[arg-type]
        if stop > begin:
            moments += [(begin, 3, n), (stop, 1, n)]
    for begin_at, stop_at in waits:
        begin, stop = clipped(begin_at, stop_at)
        if stop > begin:
            moments += [(begin, 2, 0), (stop, 0, 0)]
    moments.sort()
    total = max((end - start).total_seconds() * 1000, 0.0)
    sweep = _Sweep(ran)
    for when, what, n in moments:
        sweep.advance(when)
        if what == 3:
            sweep.begin(n)
        elif what == 1:
            sweep.stop(n)
        else:
            sweep.waits = what == 2
    sweep.advance(total)
    return Attribution(
        total_ms=total, waiting_ms=sweep.waiting_ms, flow_ms=sweep.flow_ms, tasks=dict(sweep.spent)
    )


class _Sweep:
    """share: the time that one task run would have had, had it been among those that run since the beginning: the time
    of one that runs from then to now is the difference, whatever else begins and ends in between.
    """

    def __init__(self, ran: Sequence[TaskRunView]) -> None:
        self.ran = ran
        self.now = 0.0
        self.share = 0.0
        self.waits = False
        self.waiting_ms = 0.0
        self.flow_ms = 0.0
        self.spent: dict[str, float] = {}
        self._since: dict[int, float] = {}  # task run that is having time → share when that began
        self._running: dict[str, int] = {}  # task key → task run
        self._parent: dict[int, int] = {}
        self._children: dict[int, int] = {}

    def advance(self, when: float) -> None:
        passed = when - self.now
        self.now = when
        if self._since:
            self.share += passed / len(self._since)
        elif self.waits:
            self.waiting_ms += passed
        else:
            self.flow_ms += passed

    def begin(self, n: int) -> None:
        parent = self._caller(self.ran[n].task_key)
        if parent is not None:
            self._parent[n] = parent
            self._children[parent] = self._children.get(parent, 0) + 1
            self._settle(parent)
        self._running[self.ran[n].task_key] = n
        self._since[n] = self.share

    def stop(self, n: int) -> None:
        self._settle(n)
        self._running.pop(self.ran[n].task_key, None)
        parent = self._parent.pop(n, None)
        if parent is None:
            return
        self._children[parent] -= 1
        if not self._children[parent] and self._running.get(self.ran[parent].task_key) == parent:
            self._since[parent] = self.share

    def _settle(self, n: int) -> None:
        since = self._since.pop(n, None)
        if since is not None:
            name = self.ran[n].name
            self.spent[name] = self.spent.get(name, 0.0) + self.share - since

    def _caller(self, key: str) -> int | None:
        scope = key.rpartition("/")[0]
        while scope:
            if scope in self._running:
                return self._running[scope]
            scope = scope.rpartition("/")[0]  # a branch that an asyncio task made
        return None
