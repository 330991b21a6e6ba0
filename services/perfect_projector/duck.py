"""The DuckDB file: its one writer, and cursors for readers.

DuckDB locks the file: no other process can open it. The bus is the authority until DuckDB has checkpointed, so a
damaged write-ahead log is set aside and the stream replayed from the offset that is in the file.
"""

import contextlib
import time
from collections.abc import Iterable
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb

from perfect_projector.batch import Batch, Row, columns
from perfect_projector.sql import statement
from perfect_projector.values import instant, text, timestamp
from perfect_schemas.errors import Failed

SCHEMA_VERSION = 1
CONSUMER = "projector"
MEMORY_LIMIT = "512MB"
CHECKPOINT_LIVE = "16MB"
CHECKPOINT_BEHIND = "128MB"
QUERY_MS = 5_000

_MERGES = (
    ("flows", "merge_flows"),
    ("tasks", "merge_tasks"),
    ("clients", "merge_clients"),
    ("ended_clients", "end_clients"),
    ("runs", "merge_runs"),
    ("task_runs", "merge_task_runs"),
    ("task_statistics", "merge_task_statistics"),
    ("flow_statistics", "merge_flow_statistics"),
)


class Duck:
    """Used by one thread at a time; readers take a `reader()` each and use it in their own thread.

    set_aside: where a damaged write-ahead log was put when the file was opened, None when it was sound.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set_aside: Path | None = None
        self.connection = self._open()
        self.months: set[str] = set()
        self._checkpoint = CHECKPOINT_LIVE
        self._prepare()

    def close(self) -> None:
        self.connection.close()

    # -- opening

    def _open(self) -> duckdb.DuckDBPyConnection:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            return self._connect()
        except duckdb.Error as error:
            log = self.file.with_name(self.file.name + ".wal")
            if "lock" in str(error).lower():
                raise Failed(
                    f"{self.file} is in use by another process; only one projector can run on a data folder: {error}"
                ) from error
            if not log.exists():
                raise Failed(f"{self.file} cannot be opened: {error}") from error
            self.set_aside = log.with_name(f"{log.name}.damaged-{time.time_ns()}")
            log.rename(self.set_aside)
            return self._connect()

    def _connect(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(
            str(self.file),
            config={
                "threads": 2,
                "memory_limit": MEMORY_LIMIT,
                "checkpoint_threshold": CHECKPOINT_LIVE,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
                "preserve_insertion_order": True,
                "temp_directory": str(self.file.with_name(self.file.name + ".tmp")),
            },
        )

    def _prepare(self) -> None:
        connection = self.connection
        connection.execute("SET TimeZone = 'UTC'")
        tables = (resources.files("perfect_schemas") / "sql" / "tables.sql").read_text()
        with self.transaction():
            connection.execute(tables)
            found = connection.execute("SELECT max(version) FROM schema_version").fetchone()
            version = found[0] if found else None
            if version is None:
                connection.execute(
                    "INSERT INTO schema_version VALUES (?, now()::TIMESTAMP)", [SCHEMA_VERSION]
                )
            elif version > SCHEMA_VERSION:
                raise Failed(
                    f"{self.file} was written by a newer version of Perfect (schema {version}, this one knows "
                    f"{SCHEMA_VERSION}): update Perfect, or move the file away to have it made again from the bus"
                )
            known = connection.execute(
                "SELECT table_name[8:] FROM duckdb_tables() WHERE regexp_matches(table_name, '^events_\\d{4}_\\d{2}$')"
            ).fetchall()
            self.months = {month for (month,) in known}
            self._make_views()

    # -- writing

    @contextlib.contextmanager
    def transaction(self) -> Any:
        self.connection.begin()
        try:
            yield
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                self.connection.rollback()
            raise
        self.connection.commit()

    def write(self, batch: Batch) -> None:
        """One transaction: the log, the read models, the offsets. All or nothing."""
        self._ensure_months(batch.months)
        execute = self.connection.execute
        with self.transaction():
            for name, months in (("append_events", batch.events), ("append_logs", batch.logs)):
                for month, rows in months.items():
                    if rows:
                        execute(statement(name).replace("{month}", month), columns(rows))
            for field, name in _MERGES:
                rows = getattr(batch, field)
                if rows:
                    execute(statement(name), columns(rows))
            execute(statement("set_offsets"), [list(batch.offsets), list(batch.offsets.values())])

    def _ensure_months(self, months: set[str]) -> None:
        new = months - self.months
        if not new:
            return
        folder = resources.files("perfect_schemas") / "sql"
        with self.transaction():
            for month in sorted(new):
                for name in ("events_month.sql", "logs_month.sql"):
                    self.connection.execute((folder / name).read_text().replace("{month}", month))
            self.months |= new
            self._make_views()
        with contextlib.suppress(
            duckdb.TransactionException
        ):  # somebody reads just now: the next one will do
            self.connection.execute("CHECKPOINT")

    def _make_views(self) -> None:
        """`events` and `logs` over all months; without one, over nothing."""
        folder = resources.files("perfect_schemas") / "sql"
        for name in ("events", "logs"):
            if self.months:
                parts = [f"FROM {name}_{month}" for month in sorted(self.months)]
                body = " UNION ALL BY NAME ".join(parts)
            else:
                empty = (folder / f"{name}_month.sql").read_text().replace("{month}", "none")
                self.connection.execute(empty)
                body = f"FROM {name}_none"
            self.connection.execute(f"CREATE OR REPLACE VIEW {name} AS {body}")

    def set_created(self, stream: str, created: datetime) -> None:
        """Remember when the stream was made, to recognise it."""
        self.connection.execute(statement("set_created"), [stream, timestamp(created)])

    def rewind(self, stream: str, seq: int) -> None:
        """The stream has lost what came after `seq`: what the file has of it leaves the log, so that what takes
        those sequences now is read.
        """
        with self.transaction():
            for month in self.months:
                name = f"logs_{month}" if stream == "LOGS" else f"events_{month}"
                which = "" if stream == "LOGS" else " AND stream = $stream"
                values: dict[str, Any] = {"seq": seq} if stream == "LOGS" else {"seq": seq, "stream": stream}
                self.connection.execute(f"DELETE FROM {name} WHERE seq > $seq{which}", values)  # noqa: S608
            self.connection.execute(statement("set_offsets"), [[stream], [seq]])

    def behind(self, behind: bool) -> None:
        """Checkpoint seldom while catching up: a checkpoint stalls the writer by some 4 ms a MB."""
        wanted = CHECKPOINT_BEHIND if behind else CHECKPOINT_LIVE
        if wanted != self._checkpoint:
            self._checkpoint = wanted
            self.connection.execute(f"SET checkpoint_threshold = '{wanted}'")

    def repair(self, batch: Batch) -> int:
        """Take out JSON that DuckDB refuses (a lone surrogate escape in a result …). Returns how many values.

        An event keeps its text as one JSON string, a row goes without the value.
        """
        fixed = 0
        for rows in batch.events.values():
            fixed += self._replace_invalid(rows, {6: None})
        fixed += self._replace_invalid(batch.runs, {14: "{}", 20: "null", 21: "null", 22: "null"})
        fixed += self._replace_invalid(batch.task_runs, {12: "null", 13: "null", 14: "null"})
        return fixed + self._replace_invalid(batch.flows, {5: "{}", 6: "[]"})

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

    def load(self, name: str, *parameters: Any) -> list[Row]:
        return self.connection.execute(statement(name), list(parameters)).fetchall()

    def offsets(self) -> dict[str, tuple[int, datetime | None]]:
        """For each stream: (last sequence in the file, when the stream was made)."""
        return {stream: (seq, instant(created)) for stream, seq, created in self.load("load_offsets")}

    def load_runs(self, run_ids: Iterable[str]) -> tuple[list[Row], list[Row]]:
        wanted = list(run_ids)
        return self.load("load_runs", wanted), self.load("load_task_runs", wanted)

    def reader(self) -> duckdb.DuckDBPyConnection:
        """A cursor of its own, with a deadline for each statement."""
        cursor = self.connection.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        cursor.execute(f"SET max_execution_time = {QUERY_MS}")
        return cursor
