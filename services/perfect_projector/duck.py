"""The DuckDB file: its one writer, and cursors for readers.

DuckDB locks the file: no other process can open it. The bus is the authority until DuckDB has checkpointed: what is
damaged is set aside (`opening`), and the streams are replayed from the offsets that are left.
"""

import contextlib
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from perfect_projector import (
    artifact_row,
    opening,
    schedule_refold,
    schedule_row,
    shape,
    versions,
)
from perfect_projector.batch import Batch, Row
from perfect_projector.binding import Binding
from perfect_projector.changing import UPDATES
from perfect_projector.database import connect, log_file
from perfect_projector.months import Months
from perfect_projector.rollup import Pair
from perfect_projector.sql import statement
from perfect_projector.values import instant, text, timestamp
from perfect_projector.versions import SCHEMA_VERSION

CONSUMER = "projector"
MEMORY_LIMIT = "128MB"  # of DuckDB, mostly blocks that queries have read; what needs more goes to disk
CHECKPOINT_LIVE_BYTES = 16_000_000
CHECKPOINT_LIVE = f"{CHECKPOINT_LIVE_BYTES}B"
CHECKPOINT_BEHIND = "64MB"
QUERY_MS = 5_000

_WRITES = (  # field of the batch, statement
    ("flows", "merge_flows"),
    ("tasks", "merge_tasks"),
    ("clients", "merge_clients"),
    ("ended_clients", "end_clients"),
    ("schedules", "merge_schedules"),
    ("schedule_decisions", "insert_schedule_decisions"),
    ("new_runs", "insert_runs"),
    ("runs", "update_runs"),
    ("new_task_runs", "insert_task_runs"),
    ("task_runs", "update_task_runs"),
    ("new_task_statistics", "insert_task_statistics"),
    ("task_statistics", "update_task_statistics"),
    ("new_flow_statistics", "insert_flow_statistics"),
    ("flow_statistics", "update_flow_statistics"),
    ("new_daily_statistics", "insert_daily_statistics"),
    ("daily_statistics", "update_daily_statistics"),
)


class Duck:
    """Used by one thread at a time; readers take a `reader()` each and use it in their own thread.

    archive: the folder of expired months, None when there is none.
    set_aside, file_aside: where a damaged write-ahead log, or the whole file, was put when it was opened, None when it was
    sound. damage: what was wrong with it.
    outdated: the version that made the rows of the read models when they have to be made anew (`upgrade`), None when not.
    checkpoints: how many there were. checkpoint_s: how long the last one took.
    """

    def __init__(self, file: Path, archive: Path | None = None) -> None:
        self.file = file
        self.archive = archive.resolve() if archive is not None else None
        found = self._open()
        self.connection = found.connection
        self.months = found.ready
        self.set_aside, self.file_aside, self.damage = found.log_aside, found.file_aside, found.why
        self.checkpoints = 0
        self.checkpoint_s = 0.0
        self._checkpoint = CHECKPOINT_LIVE
        self._log_bytes = 0
        self._bindings: dict[tuple[str, str], Binding] = {}

    def close(self) -> None:
        self.connection.close()

    # -- opening

    def _open(self) -> opening.Opened[Months]:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        return opening.opened(self.file, self._connect, self._prepare)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        return connect(
            self.file,
            threads=2,
            memory_limit=MEMORY_LIMIT,
            checkpoint_threshold=CHECKPOINT_LIVE,
            preserve_insertion_order=True,
            temp_directory=str(self.file.with_name(self.file.name + ".tmp")),
        )

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> Months:
        self.connection = connection
        found = versions.version_of(connection, self.file)  # before anything is written
        with self.transaction():
            self.make_tables()
            if found is not None and found < SCHEMA_VERSION:
                shape.align(connection)
            self.outdated = found if found is not None and versions.is_anew_since(found) else None
            if self.outdated is None:
                versions.record(connection)
            connection.execute(statement("make_offsets"))
            months = Months(connection, self.archive)
            months.make_views()
        return months

    def make_tables(self) -> None:
        """Those that are missing. In the caller's transaction."""
        self.connection.execute(shape.tables_ddl())

    def _note(self, error: BaseException) -> None:
        """Damage that is met in use is for whoever opens the file next."""
        if isinstance(error, duckdb.Error) and opening.is_damage(error):
            opening.suspect(self.file, error)

    # -- writing

    @contextlib.contextmanager
    def transaction(self) -> Any:
        self.connection.begin()
        try:
            yield
            self.connection.commit()
        except BaseException as error:
            with contextlib.suppress(duckdb.Error):
                self.connection.rollback()
            self._note(error)
            raise

    def write(self, batch: Batch) -> None:
        """One transaction: the log, the read models, the offsets. All or nothing."""
        self._ensure_months(batch)
        with self.transaction():
            for name, months in (("append_events", batch.events), ("append_logs", batch.logs)):
                for month, rows in months.items():
                    self._write(name, rows, month=month)
            if batch.again:
                self.connection.execute(statement("forget_runs"), [batch.again])
                self.connection.execute(statement("forget_task_runs"), [batch.again])
            for field, name in _WRITES:
                self._write(name, getattr(batch, field))
            self._write("merge_artifacts", artifact_row.rows_of(batch))
            self.connection.execute(self._binding("set_offsets").parsed, [text(batch.offsets)])
            begin = time.perf_counter()
        self._committed(time.perf_counter() - begin)

    def _committed(self, took_s: float) -> None:
        """A commit that leaves less of a write-ahead log than there was has made a checkpoint."""
        try:
            size = log_file(self.file).stat().st_size
        except FileNotFoundError:
            size = 0
        if size < self._log_bytes:
            self.checkpoints += 1
            self.checkpoint_s = took_s
        self._log_bytes = size

    def _write(self, name: str, rows: list[Row], *, month: str = "") -> None:
        if rows:
            binding = self._binding(name, month)
            self.connection.execute(binding.parsed, binding.values(rows))

    def _binding(self, name: str, month: str = "") -> Binding:
        """The statement as DuckDB has read it: that alone is up to 0.5 ms of a wide one."""
        found = self._bindings.get((name, month))
        if found is None:
            update = UPDATES.get(name)
            text = update.text if update is not None else statement(name).replace("{month}", month)
            (parsed,) = self.connection.extract_statements(text)
            found = self._bindings[name, month] = Binding(parsed, update.places if update else None)
        return found

    def _ensure_months(self, batch: Batch) -> None:
        new = self.months.missing(batch)
        if not new:
            return
        with self.transaction():
            self.months.add(new)
        with contextlib.suppress(
            duckdb.TransactionException
        ):  # somebody reads just now: the next one will do
            self.connection.execute("CHECKPOINT")

    def caught_up(self) -> None:
        """Checkpoint as often as live again; at once, if what was written while catching up is enough for it: otherwise
        the next commit would, and that one somebody waits for.
        """
        self.behind(behind=False)
        if self._log_bytes < CHECKPOINT_LIVE_BYTES:
            return
        begin = time.perf_counter()
        if self.checkpoint() is not None:
            self.checkpoints += 1
            self.checkpoint_s = time.perf_counter() - begin
            self._log_bytes = 0

    def set_created(self, stream: str, created: datetime) -> None:
        """Remember when the stream was made, to recognise it."""
        self.connection.execute(statement("set_created"), [stream, timestamp(created)])

    def rewind(self, stream: str, seq: int) -> None:
        """The stream has lost what came after `seq`: what the file has of it leaves the log, so that what takes
        those sequences now is read.
        """
        with self.transaction():
            log = "logs" if stream == "LOGS" else "events"
            for month in self.months.known[log]:
                name = f"{log}_{month}"
                which = "" if stream == "LOGS" else " AND stream = $stream"
                values: dict[str, Any] = {"seq": seq} if stream == "LOGS" else {"seq": seq, "stream": stream}
                self.connection.execute(f"DELETE FROM {name} WHERE seq > $seq{which}", values)  # noqa: S608
            if stream == "EVENTS":
                self.connection.execute("DELETE FROM artifacts WHERE last_seq > $1", [seq])
            if stream == "DEFS":
                self._rewind_schedules(seq)
            self.connection.execute(statement("set_offset"), [stream, seq])

    def _rewind_schedules(self, seq: int) -> None:
        """As the log, which reaches up to `seq`, has them."""
        execute = self.connection.execute
        execute("DELETE FROM schedule_decisions WHERE seq > $1", [seq])
        ahead = [
            key
            for (key,) in execute("SELECT id::VARCHAR FROM schedules WHERE last_seq > $1", [seq]).fetchall()
        ]
        if ahead:
            said = execute(statement("events_of_schedules"), {"schedule_ids": ahead}).fetchall()
            execute("DELETE FROM schedules WHERE last_seq > $1", [seq])
            self._write("merge_schedules", schedule_refold.rows_of(said))

    @property
    def is_behind(self) -> bool:
        return self._checkpoint == CHECKPOINT_BEHIND

    def behind(self, behind: bool) -> None:
        """Checkpoint seldom while catching up: a checkpoint stalls the writer by some 4 ms a MB."""
        wanted = CHECKPOINT_BEHIND if behind else CHECKPOINT_LIVE
        if wanted != self._checkpoint:
            self._checkpoint = wanted
            self.connection.execute(f"SET checkpoint_threshold = '{wanted}'")

    def checkpoint(self) -> dict[str, int] | None:
        """Put everything that is committed into the file itself. Returns the offsets that it holds then; None when it
        cannot be done just now, because somebody reads what was there before.
        """
        held = {stream: seq for stream, (seq, _) in self.offsets().items()}
        try:
            self.connection.execute("CHECKPOINT")
        except duckdb.TransactionException:
            return None
        return held

    def repair(self, batch: Batch) -> int:
        """Take out JSON that DuckDB refuses (a lone surrogate escape in a result …). Returns how many values.

        An event keeps its text as one JSON string, a row goes without the value.
        """
        fixed = artifact_row.repair(batch, self._replace_invalid)
        for rows in batch.events.values():
            fixed += self._replace_invalid(rows, {6: None})
        for rows in (batch.new_runs, batch.runs):
            fixed += self._replace_invalid(rows, {14: "{}", 20: "null", 21: "null", 22: "null"})
        for rows in (batch.new_task_runs, batch.task_runs):
            fixed += self._replace_invalid(rows, {12: "null", 13: "null", 14: "null"})
        fixed += self._replace_invalid(batch.schedules, {schedule_row.SPEC: schedule_row.NO_SPEC})
        return fixed + self._replace_invalid(batch.flows, {5: "{}", 6: "[]", 13: "{}"})

    def _replace_invalid(self, rows: list[Row], places: dict[int, str | None]) -> int:
        fixed = 0
        for place, instead in places.items():
            found = self.connection.execute(
                "SELECT list_transform($1::VARCHAR[], lambda value: json_valid(value))",
                [[row[place] for row in rows]],
            ).fetchone()
            for n, valid in enumerate(found[0] if found else []):
                if valid is False:
                    row = rows[n]
                    value = text(row[place]) if instead is None else None if instead == "null" else instead
                    rows[n] = (*row[:place], value, *row[place + 1 :])
                    fixed += 1
        return fixed

    # -- reading back

    def load(self, name: str, *parameters: Any, cursor: duckdb.DuckDBPyConnection | None = None) -> list[Row]:
        try:
            return (cursor or self.connection).execute(statement(name), list(parameters)).fetchall()
        except duckdb.Error as error:
            self._note(error)
            raise

    def offsets(self) -> dict[str, tuple[int, datetime | None]]:
        """For each stream: (last sequence in the file, when the stream was made)."""
        return {stream: (seq, instant(created)) for stream, seq, created in self.load("load_offsets")}

    def floor(self) -> int:
        """The greatest sequence on EVENTS that a run or a task run in the file came from, 0 when there is none."""
        ((seq,),) = self.load("load_floor")
        return seq

    def load_runs(
        self, run_ids: Iterable[str], loader: duckdb.DuckDBPyConnection
    ) -> tuple[list[Row], list[Row]]:
        """Their rows and those of their tasks, as far as they are committed."""
        wanted = list(run_ids)
        return self.load("load_runs", wanted, cursor=loader), self.load(
            "load_task_runs", wanted, cursor=loader
        )

    def load_daily_statistics(self, pairs: list[Pair], loader: duckdb.DuckDBPyConnection) -> list[Row]:
        """What the file has of the tasks and flows, each with a day."""
        return self.load("load_daily_statistics", *map(list, zip(*pairs, strict=True)), cursor=loader)

    def loader(self) -> duckdb.DuckDBPyConnection:
        """A cursor that reads what is committed while the writer writes."""
        cursor = self.connection.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def reader(self) -> duckdb.DuckDBPyConnection:
        """A cursor of its own, with a deadline for each statement."""
        cursor = self.connection.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        cursor.execute(f"SET max_execution_time = {QUERY_MS}")
        return cursor
