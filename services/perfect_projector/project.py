"""From messages to rows, purely: what a batch changes in the read models.

The runs that are being worked on are held as folds (`perfect_schemas.folds`); a batch names the runs that it needs
and that are not held (`missing`), the writer loads their rows, `restore` puts them back, and `fold` does the rest.
The rows of a key are collapsed to its newest state, so a batch has at most one row a key.
"""

from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from perfect_projector import run_row, task_row
from perfect_projector.batch import Batch, Message
from perfect_projector.definition import Definitions
from perfect_projector.outlier import Finding
from perfect_projector.run_row import Measured
from perfect_projector.statistic import Book
from perfect_projector.welford import Summary
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.events import LogBatch, RunCompleted, RunScheduled, TaskCompleted, TaskEvent
from perfect_schemas.events.statistic import PerformanceWarned
from perfect_schemas.folds.run import RunLife
from perfect_schemas.ids import is_id
from perfect_schemas.progress import PlannedTask

SOURCE = "projector"
HISTORY_RUNS = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TASK_EVENTS = frozenset(TaskEvent.__args__)

Decoded = list[tuple[Message, Event | UnknownEvent]]


class Projection:
    """unknown: messages that cannot be read or whose type is not known. ignored: events without effect.
    invalid: events with an id that is no id.
    """

    def __init__(self, book: Book | None = None, definitions: Definitions | None = None) -> None:
        self.book = book or Book()
        self.definitions = definitions or Definitions()
        self.held = Held()
        self.counts: dict[str, deque[dict[str, int]]] = {}
        self.batches = 0
        self.unknown = 0
        self.ignored = 0
        self.invalid = 0

    def restore_counts(self, rows: Iterable[tuple[str, str, str | None, int]]) -> None:
        """(flow id, run id, task id, how often) of the last completed runs of each flow, oldest first."""
        runs: dict[tuple[str, str], dict[str, int]] = {}
        for flow_id, run_id, task_id, count in rows:
            counts = runs.setdefault((flow_id, run_id), {})
            if task_id is not None:
                counts[task_id] = count
        for (flow_id, _), counts in runs.items():
            self._counts(flow_id).append(counts)

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
                if isinstance(event, LogBatch):
                    batch.logs.setdefault(message.month, []).extend(line_rows(message, event))
                else:
                    self.unknown += 1
                continue
            batch.events.setdefault(message.month, []).append(event_row(message, event))
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
        entry = self.held.entries.get(run_id)
        if entry is None:
            if not is_id(run_id):
                self.invalid += 1
                return
            entry = self.held.entries[run_id] = Entry(run_id)
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
        was_finished = before is not None and before.state in FINISHED
        if after.state in FINISHED:
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
