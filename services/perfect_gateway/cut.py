"""A run as it was, cut from how it ended: instead of all its events, the rows of its task runs. Pure.

That holds for a run whose tasks each began once and ended once, under one claim: until its last event such a task ran,
before its first one it was not there. Of any other run the events are folded (`past`); both come to the same.
"""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from perfect_gateway.folded import Seen, without_result
from perfect_schemas import codec
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.drawn import RunMomentView, TaskColumnsView
from perfect_schemas.envelope import ErrorInfo, Event
from perfect_schemas.events import (
    ArtifactSaved,
    PerformanceWarned,
    RunCancelled,
    RunCancelling,
    RunCompleted,
    RunCrashed,
    RunFailed,
    RunNamed,
    RunQueued,
    RunScheduled,
    RunStarted,
    TaskCached,
    TaskCompleted,
    TaskFailed,
    TaskSkipped,
    TaskStarted,
)
from perfect_schemas.folds.task import TaskLife
from perfect_schemas.states import FINAL_RUN_STATES, TaskState

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _types(*kinds: type[Event]) -> frozenset[str]:
    return frozenset(str(kind.__struct_config__.tag) for kind in kinds)


_BEGINS = _types(TaskStarted, TaskCached, TaskSkipped)
_ONCE = _types(RunScheduled, RunQueued, RunStarted)
_PLAIN = (
    _BEGINS
    | _ONCE
    | _types(TaskCompleted, TaskFailed, PerformanceWarned, ArtifactSaved, RunNamed, RunCancelling)
    | _types(RunCompleted, RunFailed, RunCancelled, RunCrashed)
)


def is_plain(moment: RunMomentView) -> bool:
    """Whether the run can be cut. A task that was said to begin twice counts once among `moment.tasks`."""
    kinds = moment.kinds
    return (
        moment.state in FINAL_RUN_STATES
        and kinds.keys() <= _PLAIN
        and all(kinds.get(kind, 0) <= 1 for kind in _ONCE)
        and sum(kinds.get(kind, 0) for kind in _BEGINS) == moment.tasks
    )


class Rows:
    """The task runs of a run as they ended, in the order in which they began. What it has made of a row it keeps: who drags
    a slider asks for nearly the same again and again.
    """

    def __init__(self, run_id: str, pages: list[TaskColumnsView]) -> None:
        self._run_id = run_id
        self._places = [(page, row) for page in pages for row in range(len(page.first_seq))]
        self._first = [seq for page in pages for seq in page.first_seq]
        self._last = [seq for page in pages for seq in page.last_seq]
        self._running: list[TaskLife | None] = [None] * len(self._places)
        self._over: list[TaskLife | None] = [None] * len(self._places)

    def until(self, seq: int) -> Iterable[TaskLife]:
        """Those that had begun at `seq`, as they were then, without their warnings."""
        for n in range(bisect_right(self._first, seq)):
            is_over = self._last[n] <= seq
            kept = self._over if is_over else self._running
            life = kept[n]
            if life is None:
                life = kept[n] = _life(self._run_id, *self._places[n], is_over=is_over)
            yield life


def _life(run_id: str, page: TaskColumnsView, row: int, *, is_over: bool) -> TaskLife:
    task_id, name = page.tasks[page.of[row]]
    error = page.error.get(row) if is_over else None
    return TaskLife(
        id=page.id[row],
        run_id=run_id,
        key=page.key[row],
        task_id=task_id,
        name=name,
        state=TaskState(page.state[row]) if is_over else TaskState.RUNNING,
        last_seq=page.last_seq[row] if is_over else page.first_seq[row],
        epoch=1,
        start_time=_moment(page.start[row]),
        end_time=_moment(page.end[row]) if is_over else None,
        duration_ms=page.took[row] if is_over else None,
        attempt=page.attempt[row],
        error=None if error is None else ErrorInfo(kind=error[0], message=error[1]),
        run_name=page.label.get(row),
    )


def _moment(since_us: int | None) -> datetime | None:
    return None if since_us is None else _EPOCH + timedelta(microseconds=since_us)


def cut(moment: RunMomentView, rows: Rows) -> Seen:
    """The run at `moment`."""
    history = Seen()
    of_tasks: list[tuple[int, Event]] = []
    for one in moment.beside:
        event = codec.decode(bytes(one.event))
        if isinstance(event, UnknownEvent):
            continue
        if event.task_key is not None and not isinstance(event, ArtifactSaved):
            of_tasks.append((one.seq, event))
        else:
            history.apply(without_result(event), one.seq)
    history.tasks = {life.key: life for life in rows.until(moment.seq)}
    for seq, event in of_tasks:
        history.apply(event, seq)
    history.seq = moment.seq
    return history
