"""A run with its tasks, folded in stream order.

Rules that need both: an event of an older epoch than the run's counts only if it stands before the new claim
(so in stream order: an event whose epoch is below the run's current one is ignored), tasks that are open when the
run ends take their state from the run's end, and nothing said of a task while its run is final counts any more: such
an event was under way when the run ended (`task.started` is not guarded).

What a worker says of a distributed task is judged by its dispatch instead of its epoch: it counts as long as that
dispatch is the task's last one, open, and this worker's: the first `task.started` of a dispatch makes it so. The run
may have begun another epoch meanwhile, or wait for one.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from perfect_schemas.envelope import Event
from perfect_schemas.events import PerformanceEvent, TaskAdopted, TaskEvent, TaskQueued, TaskStarted
from perfect_schemas.events.archive import RunRestored
from perfect_schemas.events.artifact import ArtifactSaved
from perfect_schemas.events.log import LogBatch
from perfect_schemas.events.run import RunForked, RunResumed, RunRetried, RunRetrying, RunSuspended
from perfect_schemas.folds import run as run_fold
from perfect_schemas.folds import task as task_fold
from perfect_schemas.folds.run import RunLife
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import FINAL_TASK_STATES, RunState, TaskState

_TASK_EVENTS = frozenset(TaskEvent.__args__)
_PERFORMANCE_EVENTS = frozenset(PerformanceEvent.__args__)
_NOT_BY_HOLDER = frozenset({TaskAdopted, *PerformanceEvent.__args__})  # of a run
_RETRIES = frozenset({RunRetried, RunRetrying})

OPEN_TASK_AT_END = {
    RunState.COMPLETED: TaskState.CANCELLED,
    RunState.FAILED: TaskState.CANCELLED,
    RunState.CANCELLED: TaskState.CANCELLED,
    RunState.CRASHED: TaskState.CRASHED,
}


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """A wait of the run, found again on a replay. key: of its place (`pause-0`), or what is waited for (a child's id).

    wake_at: when it is over by itself, as decided when it was reached first. is_over: the run was resumed from it.
    input: what it was resumed with. timed_out: its `wake_at` resumed it, nobody's input. seq: of the last event that
    told of it. after: how many tasks had begun when it was reached first.
    """

    key: str
    waits_for: str
    seq: int
    wake_at: datetime | None = None
    is_over: bool = False
    input: Any = None
    timed_out: bool = False
    after: int = 0


class History:
    """Mutable holder of one run's fold. `ignored` counts events that changed nothing: fenced off or illegal.

    retry_epoch: the epoch that the last retry answers (the flow's own, or a person's); what failed up to it runs again.
    waits: by key, every wait that the run was suspended for, or that went on beside such a one.
    lost: client → where it was said that it is gone with distributed tasks of the run: whichever of them has said
    nothing since is to be handed over again.
    reruns: task key → the epoch up to which it does not count in a replay, because a person wanted the run tried again
    from that task or an earlier one.
    saved: the ids of the artifacts that it has saved.
    """

    __slots__ = ("ignored", "lost", "reruns", "retry_epoch", "run", "saved", "seq", "tasks", "waits")

    def __init__(self, run: RunLife | None = None, tasks: Iterable[TaskLife] = (), seq: int = 0) -> None:
        self.run = run
        self.tasks: dict[str, TaskLife] = {task.key: task for task in tasks}
        self.seq = seq
        self.ignored = 0
        self.retry_epoch = 0
        self.waits: dict[str, Wait] = {}
        self.lost: dict[str, int] = {}
        self.reruns: dict[str, int] = {}
        self.saved: set[str] = set()

    def recorded(self) -> list[TaskLife]:
        """The tasks that a replay may find, in the order of their first events."""
        reruns = self.reruns
        return [task for task in self.tasks.values() if task.epoch > reruns.get(task.key, -1)]

    def invalidated(self, from_key: str) -> list[str]:
        """The keys of the tasks that run again when `from_key` is the first to do so: it, what began after it, and the
        tasks within which it was called.
        """
        keys = list(self.tasks)
        if from_key not in self.tasks:
            return []
        at = keys.index(from_key)
        return [key for key in keys[:at] if from_key.startswith(f"{key}/")] + keys[at:]

    def apply(self, event: Event, seq: int) -> list[TaskLife]:
        """Fold one event in stream order. Returns the tasks that changed (the run is compared by identity)."""
        self.seq = seq
        kind = type(event)
        if kind in _TASK_EVENTS or (kind in _PERFORMANCE_EVENTS and event.task_key is not None):
            return self._apply_to_task(event, seq)
        if kind is LogBatch:
            return []
        if kind is ArtifactSaved:
            if event.kind is not None:  # type: ignore[attr-defined]
                self.saved.add(event.artifact_id)  # type: ignore[attr-defined]
            return []
        before = self.run
        self.run = run_fold.evolve(before, event, seq)
        if self.run is before:
            self.ignored += 1
            return []
        if before is not None and kind in _RETRIES:
            self.retry_epoch = before.epoch
            if kind is RunRetried and event.from_key is not None:  # type: ignore[attr-defined]
                self._rerun_from(event.from_key, before.epoch)  # type: ignore[attr-defined]
        elif kind is RunForked or (kind is RunRestored and before is None):
            self._take_waits(event, seq)  # type: ignore[arg-type]
        elif kind is RunSuspended:
            self._suspend(event, seq)  # type: ignore[arg-type]
        elif kind is RunResumed and before is not None:
            self._resume(before, event, seq)  # type: ignore[arg-type]
        if self.run is not None and self.run.state.is_final and not (before and before.state.is_final):
            return self._close_open_tasks(self.run, seq)
        return []

    def _take_waits(self, event: RunForked | RunRestored, seq: int) -> None:
        for one in event.waits:
            self.waits[one.key] = Wait(
                key=one.key,
                waits_for=one.waits_for,
                seq=seq,
                is_over=True,
                input=one.input,
                timed_out=one.timed_out,
                after=one.after,
            )

    def _suspend(self, event: RunSuspended, seq: int) -> None:
        for key, wake_at in event.pending.items():
            wait = Wait(key=key, waits_for="sleep", seq=seq, wake_at=wake_at, after=len(self.tasks))
            self.waits.setdefault(key, wait)
        for one in event.beside:
            known = self.waits.get(one.key)
            if known is None or known.is_over:
                self.waits[one.key] = Wait(
                    key=one.key,
                    waits_for=one.waits_for,
                    seq=seq,
                    wake_at=one.wake_at,
                    after=len(self.tasks) if known is None else known.after,
                )
        if event.key is not None:
            known = self.waits.get(event.key)
            self.waits[event.key] = Wait(
                key=event.key,
                waits_for=event.waits_for,
                seq=seq,
                wake_at=event.wake_at,
                after=len(self.tasks) if known is None else known.after,
            )

    def _resume(self, before: RunLife, event: RunResumed, seq: int) -> None:
        if event.lost is not None:
            self.lost[event.lost] = seq
        wait = self.waits.get(event.key or before.wait_key or "")
        if wait is not None:
            timed_out = event.input is None and wait.wake_at is not None and event.at >= wait.wake_at
            self.waits[wait.key] = msgspec.structs.replace(
                wait, seq=seq, is_over=True, input=event.input, timed_out=timed_out
            )

    def _rerun_from(self, from_key: str, epoch: int) -> None:
        dropped = self.invalidated(from_key)
        self.reruns.update(dict.fromkeys(dropped, epoch))
        if dropped:
            first = list(self.tasks).index(from_key)
            self.waits = {key: wait for key, wait in self.waits.items() if wait.after <= first}

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
        if after.dispatch_id is not None and self.run is not None and after.epoch < self.run.epoch:
            after = msgspec.structs.replace(after, epoch=self.run.epoch)  # it is this epoch that sees it
        self.tasks[key] = after
        return [after]

    def _is_too_late(self, event: Event) -> bool:
        run = self.run
        if run is None or type(event) in _NOT_BY_HOLDER:
            return False
        if run.state.is_final:
            return True
        if event.dispatch_id is not None and (type(event) is not TaskQueued or event.replaces is not None):  # type: ignore[attr-defined]
            return not self._is_dispatched(event)
        return event.epoch is not None and event.epoch < run.epoch

    def _is_dispatched(self, event: Any) -> bool:
        """Whether it is said by the worker that holds the event's dispatch (or is the claim that makes it so), of the
        dispatched task itself or of one that its body called.
        """
        key = event.task_key
        while key:
            life = self.tasks.get(key)
            if life is not None and life.state not in FINAL_TASK_STATES:
                if type(event) is TaskQueued:
                    return event.replaces == life.dispatch_id and event.client_id == life.client_id
                if life.dispatch_id == event.dispatch_id:
                    if type(event) is TaskStarted and key == event.task_key and life.client_id is None:
                        return True
                    return event.source == f"worker:{life.client_id}"
            key = key.rpartition("/")[0]
        return False

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
