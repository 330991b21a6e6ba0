"""From messages to rows, purely: what a batch changes in the read models.

The runs that are being worked on are held as folds (`perfect_schemas.folds`); a batch names the runs that it needs
and that are not held (`missing`), the writer loads their rows, `restore` puts them back, and `fold` does the rest.
The rows of a key are collapsed to its newest state, so a batch has at most one row a key.
"""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from perfect_projector import run_row, task_row
from perfect_projector.batch import Batch, Message, Row
from perfect_projector.definition import Definitions
from perfect_projector.outlier import Finding
from perfect_projector.run_row import Measured
from perfect_projector.statistic import Book
from perfect_projector.tracker import Tracker, plan_of
from perfect_projector.values import text, timestamp
from perfect_projector.welford import Summary
from perfect_schemas import codec
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.events import LogBatch, RunCompleted, RunScheduled, TaskCompleted, TaskEvent
from perfect_schemas.events.statistic import PerformanceWarned
from perfect_schemas.folds.history import History
from perfect_schemas.folds.run import RunLife
from perfect_schemas.ids import is_id
from perfect_schemas.progress import PlannedTask
from perfect_schemas.states import TaskState

SOURCE = "projector"
HISTORY_RUNS = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TASK_EVENTS = frozenset(TaskEvent.__args__)
_FINISHED = frozenset({TaskState.COMPLETED, TaskState.CACHED, TaskState.FAILED, TaskState.SKIPPED})

Decoded = list[tuple[Message, Event | UnknownEvent]]


class Entry:
    """A run that is held. first_seqs: task key → sequence of its first event. counted: keys in the statistics.
    final_total: how many task runs were expected of it when it ended.
    """

    __slots__ = (
        "counted",
        "final_total",
        "first_seqs",
        "history",
        "launch_ms",
        "run_id",
        "touched",
        "tracker",
    )

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.history = History()
        self.tracker = Tracker()
        self.first_seqs: dict[str, int] = {}
        self.counted: set[str] = set()
        self.launch_ms: int | None = None
        self.final_total: int | None = None
        self.touched = 0

    @property
    def is_final(self) -> bool:
        return self.history.run is not None and self.history.run.state.is_final


class Projection:
    """unknown: messages that cannot be read or whose type is not known. ignored: events without effect.
    invalid: events with an id that is no id.
    """

    def __init__(self, book: Book | None = None, definitions: Definitions | None = None) -> None:
        self.book = book or Book()
        self.definitions = definitions or Definitions()
        self.entries: dict[str, Entry] = {}
        self.counts: dict[str, deque[dict[str, int]]] = {}
        self.batches = 0
        self.unknown = 0
        self.ignored = 0
        self.invalid = 0

    # -- what is not held

    def missing(self, decoded: Decoded) -> list[str]:
        """The runs that events of this batch speak of, that are not held and may have rows."""
        wanted: dict[str, None] = {}
        fresh: set[str] = set()
        for message, event in decoded:
            if message.stream != "EVENTS" or isinstance(event, UnknownEvent):
                continue
            run_id = message.subject.rpartition(".")[2]
            if run_id in self.entries or run_id in wanted or run_id in fresh:
                continue
            if type(event) is RunScheduled:
                fresh.add(run_id)
            elif is_id(run_id):
                wanted[run_id] = None
        return list(wanted)

    def restore(self, runs: Iterable[Row], task_runs: Iterable[Row]) -> None:
        """Put runs back from their rows. `task_runs` in the order of their first events."""
        for row in runs:
            life, measured = run_row.life_of(row)
            entry = self.entries[life.id] = Entry(life.id)
            entry.history.run = life
            entry.launch_ms = measured.launch_ms
            entry.tracker.high = measured.progress / 100
            if life.state.is_final:
                entry.final_total = measured.tasks_total
            if measured.plan is not None:
                entry.tracker.expect(plan_of(measured.plan))
        for row in task_runs:
            task, counted, first_seq = task_row.life_of(row)
            entry = self.entries.get(task.run_id)
            if entry is None:
                entry = self.entries[task.run_id] = Entry(task.run_id)
            entry.history.tasks[task.key] = task
            entry.first_seqs[task.key] = first_seq
            if counted:
                entry.counted.add(task.key)
            high = entry.tracker.high
            entry.tracker.began(task.task_id)
            if task.state in _FINISHED:
                entry.tracker.ended(task.task_id)
            entry.tracker.high = high

    def restore_counts(self, rows: Iterable[tuple[str, str, str | None, int]]) -> None:
        """(flow id, run id, task id, how often) of the last completed runs of each flow, oldest first."""
        runs: dict[tuple[str, str], dict[str, int]] = {}
        for flow_id, run_id, task_id, count in rows:
            counts = runs.setdefault((flow_id, run_id), {})
            if task_id is not None:
                counts[task_id] = count
        for (flow_id, _), counts in runs.items():
            self._counts(flow_id).append(counts)

    def forget(self, *, keep_batches: int, max_runs: int, max_tasks: int) -> None:
        """Let go of runs that ended `keep_batches` ago, and of the longest untouched ones above the limits.

        Called only when all that was folded is committed: what is let go is loaded again when it is needed.
        """
        if self.batches % keep_batches:
            return
        before = self.batches - keep_batches
        for run_id in [e.run_id for e in self.entries.values() if e.touched < before and e.is_final]:
            del self.entries[run_id]
        tasks = sum(len(entry.history.tasks) for entry in self.entries.values())
        if len(self.entries) <= max_runs and tasks <= max_tasks:
            return
        for entry in sorted(self.entries.values(), key=lambda entry: entry.touched):
            if len(self.entries) <= max_runs // 2 and tasks <= max_tasks // 2:
                return
            tasks -= len(entry.history.tasks)
            del self.entries[entry.run_id]

    # -- folding

    def fold(self, decoded: Decoded) -> tuple[Batch, list[tuple[Message, PerformanceWarned]]]:
        """Rows for the file, and the warnings to publish before they are committed, with the message each is about."""
        self.batches += 1
        batch = Batch()
        warned: list[tuple[Message, PerformanceWarned]] = []
        touched: dict[str, Entry] = {}
        tasks: dict[tuple[str, str], Entry] = {}
        for message, event in decoded:
            batch.offsets[message.stream] = message.seq
            if message.stream == "LOGS":
                self._log(batch, message, event)
                continue
            batch.events.setdefault(message.month, []).append(_event_row(message, event))
            if isinstance(event, UnknownEvent):
                self.unknown += 1
            elif message.stream == "DEFS":
                self.definitions.fold(batch, message, event)
            else:
                self._event(message, event, touched, tasks, warned)
        self._rows(batch, touched, tasks)
        return batch, warned

    def _event(
        self,
        message: Message,
        event: Event,
        touched: dict[str, Entry],
        tasks: dict[tuple[str, str], Entry],
        warned: list[tuple[Message, PerformanceWarned]],
    ) -> None:
        run_id = message.subject.rpartition(".")[2]
        entry = self.entries.get(run_id)
        if entry is None:
            if not is_id(run_id):
                self.invalid += 1
                return
            entry = self.entries[run_id] = Entry(run_id)
        kind = type(event)
        if kind in _TASK_EVENTS or (kind is PerformanceWarned and event.task_key is not None):
            changed = self._task_event(entry, message, event, warned)
            if not changed:
                return
            tasks[run_id, event.task_key or ""] = entry
        else:
            history = entry.history
            before = history.run
            if before is None and kind is RunScheduled and not is_id(event.flow_id):
                self.invalid += 1
                return
            for closed in history.apply(event, message.seq):
                tasks[run_id, closed.key] = entry
            after = history.run
            if after is before or after is None:
                self.ignored += 1
                return
            self._run_event(entry, before, after, message, event, warned)
        touched[run_id] = entry
        entry.touched = self.batches

    def _task_event(
        self,
        entry: Entry,
        message: Message,
        event: Any,
        warned: list[tuple[Message, PerformanceWarned]],
    ) -> bool:
        history = entry.history
        key = event.task_key
        before = history.tasks.get(key)
        if (
            before is None
            and type(event) in _TASK_EVENTS
            and not (is_id(event.task_run_id) and is_id(event.task_id))
        ):
            self.invalid += 1
            return False
        changed = history.apply(event, message.seq)
        if not changed:
            self.ignored += 1
            return False
        after = changed[0]
        tracker = entry.tracker
        if tracker.plan is None and history.run is not None:
            self._expect(entry, history.run)
        if before is None:
            entry.first_seqs[key] = message.seq
            tracker.began(after.task_id)
        was_finished = before is not None and before.state in _FINISHED
        if after.state in _FINISHED:
            if not was_finished:
                tracker.ended(after.task_id)
        elif was_finished:
            tracker.reopened(after.task_id)
        if type(event) is TaskCompleted and key not in entry.counted and history.run is not None:
            entry.counted.add(key)
            run = history.run
            finding, summary = self.book.observe(
                after.task_id,
                flow_id=run.flow_id,
                flow_name=run.flow_name,
                task_name=after.name,
                duration_ms=event.duration_ms,
                at=event.at,
                seq=message.seq,
            )
            if finding is not None:
                warned.append((message, _warning(entry.run_id, event, finding, summary)))
        return True

    def _run_event(
        self,
        entry: Entry,
        before: RunLife | None,
        after: RunLife,
        message: Message,
        event: Any,
        warned: list[tuple[Message, PerformanceWarned]],
    ) -> None:
        tracker = entry.tracker
        if tracker.plan is None:
            self._expect(entry, after)
        if not after.state.is_final:
            entry.final_total = None
        elif entry.final_total is None:
            begun = len(entry.history.tasks)
            entry.final_total = begun if after.state == "COMPLETED" else max(tracker.total, begun)
        if before is not None and after.epoch != before.epoch:
            tracker.new_epoch()
            if before.start_time is None and after.start_time is not None and after.queued_at is not None:
                waited = after.start_time - after.queued_at
                entry.launch_ms = max(waited // timedelta(milliseconds=1), 0)
        if type(event) is RunCompleted:
            self._counts(after.flow_id).append(dict(tracker.seen))
            finding, summary = self.book.observe(
                after.flow_id,
                flow_id=after.flow_id,
                flow_name=after.flow_name,
                task_name=None,
                duration_ms=event.duration_ms,
                at=event.at,
                seq=message.seq,
            )
            if finding is not None:
                warned.append((message, _warning(entry.run_id, event, finding, summary)))

    # -- what a run is expected to do

    def _counts(self, flow_id: str) -> deque[dict[str, int]]:
        counts = self.counts.get(flow_id)
        if counts is None:
            counts = self.counts[flow_id] = deque(maxlen=HISTORY_RUNS)
        return counts

    def _expect(self, entry: Entry, run: RunLife) -> None:
        flow = self.definitions.flows.get(run.flow_id)
        if flow is None or run.state.is_final:
            return
        history = self.counts.get(run.flow_id)
        entry.tracker.expect(
            PlannedTask(
                task.id,
                task.weight,
                sum(counts.get(task.id, 0) for counts in history) / len(history) if history else 1.0,
            )
            for task in flow.tasks
        )

    # -- rows

    def _rows(self, batch: Batch, touched: dict[str, Entry], tasks: dict[tuple[str, str], Entry]) -> None:
        for run_id, entry in touched.items():
            run = entry.history.run
            if run is not None:
                batch.runs.append(run_row.row_of(run_id, run, _measured(entry, run)))
        batch.task_runs = [
            task_row.row_of(run_id, entry.history.tasks[key], key in entry.counted, entry.first_seqs[key])
            for (run_id, key), entry in tasks.items()
        ]
        batch.task_statistics, batch.flow_statistics = self.book.take_rows()

    def _log(self, batch: Batch, message: Message, event: Event | UnknownEvent) -> None:
        if not isinstance(event, LogBatch):
            self.unknown += 1
            return
        run_id = message.subject.rpartition(".")[2]
        rows = batch.logs.setdefault(message.month, [])
        for n, line in enumerate(event.lines):
            rows.append(
                (
                    message.seq,
                    n,
                    timestamp(line.at),
                    run_id,
                    line.task_run_id,
                    line.task_key,
                    min(max(line.level, 0), 255),
                    line.logger,
                    line.message,
                )
            )


def decode(messages: Iterable[Message]) -> Decoded:
    return [(message, codec.decode(message.data)) for message in messages]


def _measured(entry: Entry, run: RunLife) -> Measured:
    tracker = entry.tracker
    total = entry.final_total
    return Measured(
        progress=100.0 if run.state == "COMPLETED" else tracker.high * 100,
        launch_ms=entry.launch_ms,
        tasks_done=tracker.finished,
        tasks_total=max(tracker.total, len(entry.history.tasks)) if total is None else total,
        plan=None if run.state.is_final else tracker.plan_text,
    )


def _event_row(message: Message, event: Event | UnknownEvent) -> Row:
    if isinstance(event, UnknownEvent):
        payload, at, kind, task_run_id = _readable(message.data), None, event.type, None
    else:
        payload, at, kind = message.data.decode(), timestamp(event.at), event.type
        task_run_id = event.task_run_id
    if at is None:
        at = (_EPOCH + timedelta(microseconds=message.stored_ns // 1000)).replace(tzinfo=None)
    run_id = message.subject.rpartition(".")[2] if message.stream == "EVENTS" else None
    return message.stream, message.seq, at, kind, run_id, task_run_id, payload


def _readable(data: bytes) -> str:
    """The text of a message that is no event; what is no JSON at all, as one JSON string."""
    try:
        msgspec.json.decode(data)
        return data.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text(data.decode("utf-8", "replace"))


def _warning(run_id: str, event: Any, finding: Finding, before: Summary) -> PerformanceWarned:
    return PerformanceWarned(
        id=f"{event.task_run_id or run_id}:{finding.rule}",
        at=event.at,
        source=SOURCE,
        run_id=run_id,
        task_run_id=event.task_run_id,
        task_key=event.task_key,
        cause=event.id,
        flow_version=event.flow_version,
        rule=finding.rule,
        severity=finding.severity,
        message=finding.message,
        duration_ms=event.duration_ms,
        avg_duration_ms=before.mean,
    )
