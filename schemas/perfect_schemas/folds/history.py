"""A run with its tasks, folded in stream order.

Rules that need both: an event of an older epoch than the run's counts only if it stands before the new claim
(so in stream order: an event whose epoch is below the run's current one is ignored), tasks that are open when the
run ends take their state from the run's end, and nothing said of a task while its run is final counts any more: such
an event was under way when the run ended (`task.started` is not guarded).
"""

from collections.abc import Iterable

import msgspec

from perfect_schemas.envelope import Event
from perfect_schemas.events import TaskAdopted, TaskEvent
from perfect_schemas.events.log import LogBatch
from perfect_schemas.events.run import RunRetried, RunRetrying
from perfect_schemas.events.statistic import PerformanceWarned
from perfect_schemas.folds import run as run_fold
from perfect_schemas.folds import task as task_fold
from perfect_schemas.folds.run import RunLife
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import FINAL_TASK_STATES, RunState, TaskState

_TASK_EVENTS = frozenset(TaskEvent.__args__)
_RETRIES = frozenset({RunRetried, RunRetrying})

OPEN_TASK_AT_END = {
    RunState.COMPLETED: TaskState.CANCELLED,
    RunState.FAILED: TaskState.CANCELLED,
    RunState.CANCELLED: TaskState.CANCELLED,
    RunState.CRASHED: TaskState.CRASHED,
}


class History:
    """Mutable holder of one run's fold. `ignored` counts events that changed nothing: fenced off or illegal.

    retry_epoch: the epoch that the last retry answers (the flow's own, or a person's); what failed up to it runs again.
    """

    __slots__ = ("ignored", "retry_epoch", "run", "seq", "tasks")

    def __init__(self, run: RunLife | None = None, tasks: Iterable[TaskLife] = (), seq: int = 0) -> None:
        self.run = run
        self.tasks: dict[str, TaskLife] = {task.key: task for task in tasks}
        self.seq = seq
        self.ignored = 0
        self.retry_epoch = 0

    def apply(self, event: Event, seq: int) -> list[TaskLife]:
        """Fold one event in stream order. Returns the tasks that changed (the run is compared by identity)."""
        self.seq = seq
        kind = type(event)
        if kind in _TASK_EVENTS or (kind is PerformanceWarned and event.task_key is not None):
            return self._apply_to_task(event, seq)
        if kind is LogBatch:
            return []
        before = self.run
        self.run = run_fold.evolve(before, event, seq)
        if self.run is before:
            self.ignored += 1
            return []
        if before is not None and kind in _RETRIES:
            self.retry_epoch = before.epoch
        if self.run is not None and self.run.state.is_final and not (before and before.state.is_final):
            return self._close_open_tasks(self.run, seq)
        return []

    def _apply_to_task(self, event: Event, seq: int) -> list[TaskLife]:
        key = event.task_key or ""
        if self._is_too_late(event):
            self.ignored += 1
            return []
        before = self.tasks.get(key)
        after = task_fold.evolve(before, event, seq)
        if after is before or after is None:
            self.ignored += 1
            return []
        self.tasks[key] = after
        return [after]

    def _is_too_late(self, event: Event) -> bool:
        run = self.run
        if run is None or isinstance(event, TaskAdopted | PerformanceWarned):  # not said by who holds the run
            return False
        return run.state.is_final or (event.epoch is not None and event.epoch < run.epoch)

    def _close_open_tasks(self, run: RunLife, seq: int) -> list[TaskLife]:
        closed = []
        for key, task in self.tasks.items():
            if task.state not in FINAL_TASK_STATES:
                state = OPEN_TASK_AT_END[run.state]
                closed.append(msgspec.structs.replace(task, state=state, end_time=run.end_time, last_seq=seq))
                self.tasks[key] = closed[-1]
        return closed


def fold(events: Iterable[tuple[int, Event]]) -> History:
    """The history that `events`, pairs of (sequence, event) in stream order, make."""
    history = History()
    for seq, event in events:
        history.apply(event, seq)
    return history
