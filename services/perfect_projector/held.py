"""The runs that are being worked on, as folds. What is let go of is loaded again from its rows when it is needed."""

from collections.abc import Iterable

import msgspec

from perfect_projector import run_row, task_row
from perfect_projector.batch import Decoded, Row
from perfect_projector.forecast import Forecast
from perfect_projector.tracker import Tracker, plan_of
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.events import RunScheduled
from perfect_schemas.folds.history import History
from perfect_schemas.ids import is_id
from perfect_schemas.states import TaskState

_decode_forecast = msgspec.json.Decoder(Forecast).decode
FINISHED = frozenset({TaskState.COMPLETED, TaskState.CACHED, TaskState.FAILED, TaskState.SKIPPED})


class Entry:
    """A run that is held. first_seqs: task key → sequence of its first event. counted: keys in the statistics.
    is_stored, stored: whether the run has a row in the file, and which of its task keys have.
    final_total: how many task runs were expected of it when it ended. size: bytes of its events, about.
    """

    __slots__ = (
        "counted",
        "final_total",
        "first_seqs",
        "forecast",
        "history",
        "is_stored",
        "launch_ms",
        "run_id",
        "size",
        "stored",
        "touched",
        "tracker",
    )

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.history = History()
        self.tracker = Tracker()
        self.first_seqs: dict[str, int] = {}
        self.counted: set[str] = set()
        self.is_stored = False
        self.stored: set[str] = set()
        self.launch_ms: int | None = None
        self.forecast = Forecast()
        self.final_total: int | None = None
        self.size = 0
        self.touched = 0

    @property
    def is_final(self) -> bool:
        return self.history.run is not None and self.history.run.state.is_final


class Held:
    """entries: run id → what is held of it."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def missing(self, decoded: Decoded) -> list[str]:
        """The runs that events of this batch speak of and that are not held: they may have rows.

        Not those that begin in it: `run.scheduled` is the first event of every run.
        """
        wanted: dict[str, bool] = {}
        for message, event in decoded:
            if message.stream != "EVENTS" or isinstance(event, UnknownEvent):
                continue
            run_id = message.subject.rpartition(".")[2]
            if run_id in self.entries or run_id in wanted:
                continue
            if is_id(run_id):
                wanted[run_id] = not isinstance(event, RunScheduled)
        return [run_id for run_id, may_have_rows in wanted.items() if may_have_rows]

    def restore(self, runs: Iterable[Row], task_runs: Iterable[Row]) -> None:
        """Put runs back from their rows. `task_runs` in the order of their first events."""
        for row in runs:
            life, measured = run_row.life_of(row)
            entry = self.entries[life.id] = Entry(life.id)
            entry.history.run = life
            entry.is_stored = True
            entry.launch_ms = measured.launch_ms
            entry.tracker.high = measured.progress / 100
            if life.state.is_final:
                entry.final_total = measured.tasks_total
            if measured.forecast is not None:
                entry.forecast = _decode_forecast(measured.forecast)
            if measured.plan is not None:
                entry.tracker.expect(plan_of(measured.plan))
        for row in task_runs:
            task, counted, first_seq = task_row.life_of(row)
            entry = self.entries.get(task.run_id)
            if entry is None:
                entry = self.entries[task.run_id] = Entry(task.run_id)
            entry.history.tasks[task.key] = task
            entry.first_seqs[task.key] = first_seq
            entry.stored.add(task.key)
            if counted:
                entry.counted.add(task.key)
            high = entry.tracker.high
            entry.tracker.began(task.task_id)
            if task.state in FINISHED:
                entry.tracker.ended(task.task_id)
            entry.tracker.high = high

    def forget(
        self, batches: int, *, keep_batches: int, max_runs: int, max_tasks: int, max_bytes: int
    ) -> None:
        """Every `keep_batches` batches: let go of runs that ended that long ago, and, above the limits, of the longest
        untouched ones.

        Called when a batch is folded and all but it and the one before it are committed: what is let go is loaded again
        when it is needed, from its rows.
        """
        if batches % keep_batches:
            return
        before = batches - keep_batches
        for entry in list(self.entries.values()):
            if entry.touched < before and (entry.is_final or entry.history.run is None):
                del self.entries[entry.run_id]
        tasks = sum(len(entry.history.tasks) for entry in self.entries.values())
        size = sum(entry.size for entry in self.entries.values())
        if len(self.entries) <= max_runs and tasks <= max_tasks and size <= max_bytes:
            return
        for entry in sorted(self.entries.values(), key=lambda entry: entry.touched):
            if entry.touched >= batches - 1:  # in use, and not surely in the file
                return
            if len(self.entries) <= max_runs // 2 and tasks <= max_tasks // 2 and size <= max_bytes // 2:
                return
            tasks -= len(entry.history.tasks)
            size -= entry.size
            del self.entries[entry.run_id]
