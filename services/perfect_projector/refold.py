"""Does the row of a run say what its events say? The events in the log are folded afresh, by the same code as live."""

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import groupby
from typing import Any

from perfect_projector import artifact_row
from perfect_projector.batch import Batch, Message, Row
from perfect_projector.log_row import decode
from perfect_projector.project import Projection
from perfect_projector.sql import statement
from perfect_projector.values import timestamp
from perfect_schemas import subjects

RUN = (
    "id", "flow_id", "flow_name", "flow_version", "name", "state", "progress", "created_at", "start_time", "end_time",
    "duration_ms", "queued_ms", "launch_ms", "configuration", "parameters", "tags", "client_name", "epoch", "origin",
    "parent_run_id", "error", "result", "performance_warning", "tasks_done", "tasks_total", "details", "plan", "last_seq",
    "forecast",
)  # fmt: skip
TASK = (
    "id", "run_id", "task_id", "task_key", "name", "state", "progress", "start_time", "end_time", "duration_ms", "attempt",
    "epoch", "error", "result", "performance_warning", "details", "counted", "first_seq", "last_seq",
)  # fmt: skip
BY_OTHERS = frozenset({"progress", "tasks_total", "plan", "forecast"})
"""Columns of a run that follow from earlier runs of its flow, too."""

FIRST = b'{"type":"run.scheduled"'


def message_of(stream: str, seq: int, subject: str, at_us: int, payload: str) -> Message:
    """An event of the log as the stream had it; `at_us` stands for when it was stored."""
    if payload.startswith('"'):  # its text as one JSON string: see `Duck.repair`
        payload = json.loads(payload)
    return Message(stream, seq, subject, payload.encode(errors="surrogatepass"), at_us * 1000)


def check_runs(query: Callable[..., list[Row]], run_ids: list[str]) -> tuple[int, int, list[str]]:
    """Returns how many were compared, how many could not be because their log does not begin with them, and what
    differs, in sentences. query(name, **values): the rows of a statement.
    """
    events = query("events_of_runs", run_ids=run_ids)
    stored = {row[0]: row for row in query("load_runs", run_ids)}
    tasks: dict[str, list[Row]] = {}
    for row in query("load_task_runs", run_ids):
        tasks.setdefault(row[1], []).append(row)
    compared = left_out = 0
    differences: list[str] = []
    shown: dict[str, list[Row]] = {}
    for row in query("load_artifacts", run_ids):
        shown.setdefault(row[1], []).append(row)
    told = set()
    for run_id, rows in groupby(events, key=lambda row: row[0]):
        told.add(run_id)
        messages = [message_of("EVENTS", seq, subjects.run(run_id), at, text) for _, seq, at, text in rows]
        if not messages[0].data.startswith(FIRST):
            left_out += 1
            continue
        compared += 1
        batch = Projection().fold(decode(messages)).batch
        differences += _compare_run(run_id, batch, stored.get(run_id), tasks.get(run_id, []))
        differences += _compare_artifacts(run_id, batch, shown.get(run_id, []))
    differences += [
        f"run {run_id} has a row, but no event speaks of it" for run_id in run_ids if run_id not in told
    ]
    return compared, left_out, differences


def _compare_run(run_id: str, batch: Batch, run: Row | None, tasks: list[Row]) -> list[str]:
    if not batch.new_runs:
        return [] if run is None else [f"run {run_id} has a row, but its events make none"]
    if run is None:
        return [f"run {run_id} has no row"]
    found = [f"run {run_id}: {text}" for text in compare_rows(RUN, run, batch.new_runs[0], BY_OTHERS)]
    kept = {row[3]: row for row in tasks}
    for wanted in batch.new_task_runs:
        row = kept.pop(wanted[3], None)
        if row is None:
            found.append(f"run {run_id}: task {wanted[3]} has no row")
            continue
        found += [f"run {run_id}: task {wanted[3]}: {text}" for text in compare_rows(TASK, row, wanted)]
    found += [f"run {run_id}: task {key} has a row, but no event speaks of it" for key in kept]
    return found


def _compare_artifacts(run_id: str, batch: Batch, rows: list[Row]) -> list[str]:
    kept = {row[0]: row for row in rows}
    found: list[str] = []
    for wanted in artifact_row.rows_of(batch):
        if wanted[2] is None:  # a change of what was never saved
            continue
        what = f"run {run_id}: artifact {wanted[0]}"
        row = kept.pop(wanted[0], None)
        if row is None:
            found.append(f"{what} has no row")
            continue
        found += [f"{what}: {text}" for text in compare_rows(artifact_row.COLUMNS, row, wanted)]
    return found + [f"run {run_id}: artifact {key} has a row, but no event speaks of it" for key in kept]


def compare_rows(
    names: Iterable[str], row: Row, wanted: Row, left_out: frozenset[str] = frozenset()
) -> list[str]:
    return [
        f"{name} is {_short(value)}, its events say {_short(said)}"
        for name, value, said in zip(names, row, map(_as_kept, wanted), strict=True)
        if name not in left_out and value != said
    ]


def _as_kept(value: Any) -> Any:
    """A value of a batch as the file has it: times without a zone."""
    return timestamp(value) if isinstance(value, datetime) else value


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"


def bound(execute: Callable[..., Any]) -> Callable[..., list[Row]]:
    """`query(name, …)` over one cursor's `execute`."""

    def query(name: str, *values: Any, **named: Any) -> list[Row]:
        return execute(statement(name), named or list(values)).fetchall()

    return query
