"""From messages to rows, purely: what a batch changes in the read models.

The runs that are being worked on are held as folds; a batch names the runs that it needs and that are not held
(`held.missing`), the writer loads their rows, `held.restore` puts them back, and `fold` does the rest. The rows of a
key are collapsed to its newest state, so a batch has at most one row a key.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from perfect_projector import artifact_row, run_row, task_row
from perfect_projector.batch import Batch, Decoded, Message
from perfect_projector.completion import Completions
from perfect_projector.definition import Definitions
from perfect_projector.expectation import Expectations
from perfect_projector.held import FINISHED, Entry, Held
from perfect_projector.log_row import event_row, line_rows
from perfect_projector.outlier import Finding
from perfect_projector.run_row import Measured
from perfect_projector.statistic import Book
from perfect_projector.values import text
from perfect_projector.welford import Summary
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.events import (
    ArtifactSaved,
    LogBatch,
    RunCompleted,
    RunScheduled,
    TaskCompleted,
    TaskEvent,
)
from perfect_schemas.events.statistic import PerformanceRunningLong, PerformanceWarned
from perfect_schemas.folds.run import RunLife, executed_ms
from perfect_schemas.forecast import step_of
from perfect_schemas.ids import is_id

SOURCE = "projector"
YOUNG_NS = 600 * 10**9
_TASK_EVENTS = frozenset(TaskEvent.__args__) | {PerformanceRunningLong}


class Draft(msgspec.Struct):
    """What a batch comes to. warned: each warning with the message of the completion that it is about.

    failed: events that could not be folded: the log keeps them, the read models go on without.
    runs, tasks: what changed, run id (and task key) → entry.
    completed: of each run that completed, its flow and how often it ran each task.
    """

    batch: Batch
    warned: list[tuple[Message, PerformanceWarned]] = []
    failed: list[tuple[Message, Exception]] = []
    runs: dict[str, Entry] = {}
    tasks: dict[tuple[str, str], Entry] = {}
    completed: list[tuple[str, dict[str, int]]] = []


class Projection:
    """unknown: messages that cannot be read or whose type is not known. ignored: events without effect.
    invalid: events with an id that is no id. floor: the greatest sequence on EVENTS that any row in the file came from.
    """

    def __init__(self, book: Book | None = None) -> None:
        self.completions = Completions(book or Book())
        self.definitions = Definitions()
        self.expectations = Expectations()
        self.held = Held()
        self.floor = 0
        self.batches = 0
        self.unknown = 0
        self.ignored = 0
        self.invalid = 0

    def fold(self, decoded: Decoded) -> Draft:
        """Rows for the file, and the warnings to be said before they are committed."""
        self.batches += 1
        draft = Draft(Batch())
        batch = draft.batch
        for message, event in decoded:
            stream, seq, subject, _, _ = message
            batch.offsets[stream] = seq
            if stream == "LOGS":
                if isinstance(event, LogBatch):
                    batch.logs.setdefault(message.month, []).extend(line_rows(message, event))
                else:
                    self.unknown += 1
                continue
            run_id = subject.rpartition(".")[2] if stream == "EVENTS" else None
            batch.events.setdefault(message.month, []).append(event_row(message, event, run_id))
            if isinstance(event, UnknownEvent):
                self.unknown += 1
                continue
            try:
                if run_id is None:
                    self.definitions.fold(batch, message, event)
                else:
                    self._event(draft, message, event, run_id)
            except Exception as error:  # one odd event must not hold up all that come after it
                draft.failed.append((message, error))
        self._rows(draft)
        return draft

    def _event(self, draft: Draft, message: Message, event: Event, run_id: str) -> None:
        if type(event) is ArtifactSaved:
            self.invalid += not artifact_row.gather(draft.batch, run_id, event, message.seq)
            return
        entry = self.held.entries.get(run_id)
        if entry is None:
            if not is_id(run_id):
                self.invalid += 1
                return
            entry = self.held.entries[run_id] = Entry(run_id)
            if not self._is_surely_new(run_id, message):
                draft.batch.again.append(run_id)
        kind = type(event)
        if kind in _TASK_EVENTS or (kind is PerformanceWarned and event.task_key is not None):
            changed = self._task_event(draft, entry, message, event)
        else:
            changed = self._run_event(draft, entry, message, event)
        if changed:
            draft.runs[run_id] = entry
            entry.touched = self.batches
            entry.size += len(message.data)

    def _is_surely_new(self, run_id: str, message: Message) -> bool:
        """Whether no row can be in the file. Held is what has rows: this one was looked for and not found, or begins
        here; then it has rows only if it begins for the second time, because its stream lost its end (`floor`) or
        because its first life has left the bus.
        """
        made_ns = int(run_id[:8] + run_id[9:13], 16) * 1_000_000  # a UUIDv7 begins with its time in ms
        return message.seq > self.floor and message.stored_ns - made_ns < YOUNG_NS

    def _task_event(self, draft: Draft, entry: Entry, message: Message, event: Any) -> bool:
        history, tracker, key = entry.history, entry.tracker, event.task_key
        before = history.tasks.get(key)
        if before is None and not (is_id(event.task_run_id or "") and is_id(getattr(event, "task_id", ""))):
            self.invalid += 1
            return False
        changed = history.apply(event, message.seq)
        if not changed:
            self.ignored += 1
            return False
        after = changed[0]
        run = history.run
        if tracker.plan is None and run is not None:
            self._expect(entry, run)
        if before is None:
            entry.first_seqs[key] = message.seq
            tracker.began(after.task_id)
        was_finished = before is not None and before.state in FINISHED
        if after.state in FINISHED:
            if not was_finished:
                tracker.ended(after.task_id)
                if run is not None and run.executing_since is not None:
                    self._reached(entry, run, event.at)
        elif was_finished:
            tracker.reopened(after.task_id)
        if type(event) is TaskCompleted and run is not None and key not in entry.counted:
            entry.counted.add(key)
            found = self.completions.task(
                run,
                after.task_id,
                after.name,
                event.duration_ms,
                at=event.at,
                seq=message.seq,
                batch=self.batches,
            )
            self._judge(draft, message, event, run.id, event.duration_ms, *found)
        draft.tasks[entry.run_id, key] = entry
        return True

    def _run_event(self, draft: Draft, entry: Entry, message: Message, event: Any) -> bool:
        history, tracker = entry.history, entry.tracker
        before = history.run
        if before is None and type(event) is RunScheduled and not is_id(event.flow_id):
            self.invalid += 1
            return False
        for closed in history.apply(event, message.seq):
            draft.tasks[entry.run_id, closed.key] = entry
        after = history.run
        if after is before or after is None:
            self.ignored += 1
            return False
        if tracker.plan is None:
            self._expect(entry, after)
        if not after.state.is_final:
            entry.final_total = None
        elif entry.final_total is None:
            begun = len(history.tasks)
            entry.final_total = begun if after.state == "COMPLETED" else max(tracker.total, begun)
        if before is not None and after.epoch != before.epoch:
            tracker.new_epoch()
            if before.start_time is None and after.start_time is not None and after.queued_at is not None:
                waited = after.start_time - after.queued_at
                entry.launch_ms = max(waited // timedelta(milliseconds=1), 0)
        if before is not None and before.start_time is None and after.start_time is not None:
            self.completions.curves.started(after.flow_id, entry.forecast)
        if type(event) is RunCompleted:
            counts = dict(tracker.seen)
            self.expectations.completed(after.flow_id, counts)
            draft.completed.append((after.flow_id, counts))
            if not (after.interrupted or after.fork_of or after.origin_run_id):
                found = self.completions.run(
                    after, entry.forecast, entry.launch_ms, at=event.at, seq=message.seq, batch=self.batches
                )
                self._judge(draft, message, event, after.id, after.duration_ms or 0, *found)
        return True

    def _reached(self, entry: Entry, run: RunLife, at: datetime) -> None:
        """Its progress may have got to another tenth."""
        step = step_of(entry.tracker.high)
        if step > len(entry.forecast.marks):
            self.completions.curves.reached(run.flow_id, entry.forecast, step, executed_ms(run, at))

    def _judge(
        self,
        draft: Draft,
        message: Message,
        event: Any,
        run_id: str,
        duration_ms: int,
        finding: Finding | None,
        before: Summary,
    ) -> None:
        if finding is not None:
            draft.warned.append((message, _warning(run_id, event, duration_ms, finding, before)))

    def _expect(self, entry: Entry, run: RunLife) -> None:
        flow = self.definitions.flows.get(run.flow_id)
        if flow is not None and not run.state.is_final:
            entry.tracker.expect(self.expectations.plan(flow))

    def _rows(self, draft: Draft) -> None:
        batch = draft.batch
        for run_id, entry in draft.runs.items():
            run = entry.history.run
            if run is not None:
                rows = batch.runs if entry.is_stored else batch.new_runs
                rows.append(run_row.row_of(run_id, run, measured_of(entry, run)))
                entry.is_stored = True
        for (run_id, key), entry in draft.tasks.items():
            if key in entry.stored:
                rows = batch.task_runs
            else:
                rows = batch.new_task_runs
                entry.stored.add(key)
            rows.append(
                task_row.row_of(run_id, entry.history.tasks[key], key in entry.counted, entry.first_seqs[key])
            )
        self.completions.book.take_rows(batch, self.completions.curves)
        batch.new_daily_statistics, batch.daily_statistics = self.completions.rolls.take_rows()


def measured_of(entry: Entry, run: RunLife) -> Measured:
    tracker, forecast = entry.tracker, entry.forecast
    total = entry.final_total
    return Measured(
        progress=100.0 if run.state == "COMPLETED" else tracker.high * 100,
        launch_ms=entry.launch_ms,
        tasks_done=tracker.finished,
        tasks_total=max(tracker.total, len(entry.history.tasks)) if total is None else total,
        plan=None if run.state.is_final else tracker.plan_text,
        forecast=text(forecast) if forecast.start is not None or forecast.marks else None,
    )


def _warning(
    run_id: str, event: Any, duration_ms: int, finding: Finding, before: Summary
) -> PerformanceWarned:
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
        duration_ms=duration_ms,
        avg_duration_ms=before.mean,
    )
