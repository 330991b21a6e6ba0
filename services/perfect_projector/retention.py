"""What is too old leaves the file, a month at a time: log lines, and events with the runs that ended in them.

With an archive folder each is first written there as Parquet, under a name of its own until it is whole. Statistics
stay as they are: they count what has been, not what is kept. A timer waits for the end of the next month that is due.
"""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from perfect_projector.database import quoted
from perfect_projector.duck import Duck
from perfect_projector.months import LOGS, Months, archive_file
from perfect_projector.sql import statement
from perfect_runtime.service import Context

DAY_S = 86_400.0
MODE = 0o444  # nobody writes to an archive; a file that changes is replaced
InWriter = Callable[..., Awaitable[Any]]


class Grown(Exception):
    """A month that should be over has changed while it was archived: the streams are being read again."""


def ends(month: str) -> datetime:
    """The instant at which the month YYYY_MM is over."""
    year, number = int(month[:4]), int(month[5:])
    return datetime(year + number // 12, number % 12 + 1, 1, tzinfo=UTC)


def due_at(month: str, days: int) -> datetime | None:
    """When everything in the month is at least so many days old; None for never (0 days)."""
    return ends(month) + timedelta(days=days) if days > 0 else None


_KEYS = {
    "events": ("stream", "seq"),
    "logs": ("seq", "n"),
    "runs": ("id",),
    "task_runs": ("run_id",),
    "artifacts": ("run_id",),
}


def _read(file: Path) -> str:
    return f"read_parquet({quoted(file)})"


def _without(file: Path, table: str, rows: str) -> str:
    """What the file has but for what is in `rows`: it may have been written without the month being dropped after."""
    keys = ", ".join(_KEYS[table])
    return f"SELECT old.* FROM {_read(file)} AS old ANTI JOIN ({rows}) AS new USING ({keys})"  # noqa: S608


def _write(cursor: duckdb.DuckDBPyConnection, select: str, file: Path) -> None:
    """The file is there when it is whole."""
    partial = file.with_name(f"{file.name}.part")
    cursor.execute(f"COPY ({select}) TO {quoted(partial)} (FORMAT parquet, COMPRESSION zstd)")
    with partial.open("rb") as written:
        os.fsync(written.fileno())
    partial.chmod(MODE)
    partial.replace(file)


class Retention:
    """in_writer(function, *arguments): runs it in the thread that writes the file. Archives are written in another."""

    def __init__(self, context: Context, log: Any, duck: Duck, in_writer: InWriter) -> None:
        settings = context.settings
        self._days = {"logs": settings.keep_logs_days, "events": settings.keep_events_days}
        self._archive = settings.archive_dir
        self._clock = context.clock
        self._log = log
        self._duck = duck
        self._in_writer = in_writer
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="duck-archive")
        self._cursor: duckdb.DuckDBPyConnection | None = None
        self.dropped = 0
        self.has_dropped: Callable[[], None] = lambda: None  # called when something has left the file

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            before = self.dropped
            await self.sweep()
            if self.dropped > before:
                self.has_dropped()
            await asyncio.sleep(self._rest_s())

    def close(self) -> None:
        self._reader.shutdown()
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None

    def _rest_s(self) -> float:
        """Until the next month is due, a day at most: months begin, and clocks are set."""
        dues = [due for _, _, due in self._dues()]
        return min([DAY_S, *(max((due - self._clock()).total_seconds(), 1.0) for due in dues)])

    def _dues(self) -> list[tuple[str, str, datetime]]:
        known = self._duck.months.known
        return [
            (name, month, due)
            for name in LOGS
            for month in sorted(known[name])
            if (due := due_at(month, self._days[name])) is not None
        ]

    async def sweep(self) -> None:
        """Let go of every month that is due. One that fails is left for the next time."""
        for name, month, due in self._dues():
            if due > self._clock():
                continue
            try:
                rows: int | None = None
                if self._archive is not None:
                    if self._cursor is None:
                        self._cursor = await self._in_writer(self._duck.loader)
                    rows = await self._in_reader(
                        self._write_archive, self._cursor, name, month, self._archive
                    )
                await self._in_writer(self._drop, name, month, rows)
            except (duckdb.IOException, OSError, Grown) as error:
                self._log.error(
                    f"{name} of {month} should leave the read model and could not: they are kept until tomorrow",
                    error=str(error),
                )
                continue
            self.dropped += 1
            self._log.info(
                "an expired month has left the read model",
                table=f"{name}_{month}",
                archive=str(self._archive) if self._archive is not None else None,
            )

    async def _in_reader(self, function: Callable[..., int], *args: Any) -> int:
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._reader, function, *args))

    def _write_archive(self, cursor: duckdb.DuckDBPyConnection, name: str, month: str, archive: Path) -> int:
        """Returns how many rows the month had. What came after it was archived before is added to its files."""
        archive.mkdir(parents=True, exist_ok=True)
        earlier = cursor.execute(
            "SELECT count(*) FROM archives WHERE name = $1 AND month = $2", [name, month]
        ).fetchone()
        rows = {name: f"FROM {name}_{month}"}
        if name == "events":
            rows |= {
                table: statement(f"ended_{table}").replace("{month}", month).rstrip(";")
                for table in ("runs", "task_runs", "artifacts")
            }
        found = cursor.execute(f"SELECT count(*) FROM {name}_{month}").fetchone()  # noqa: S608
        for table, select in rows.items():
            file = archive_file(archive, table, month)
            if earlier and earlier[0] and file.exists():
                select = f"({_without(file, table, select)}) UNION ALL BY NAME ({select})"  # noqa: PLW2901
            _write(cursor, select, file)
        if name == "events":
            self._leave_earlier(cursor, archive, rows, month)
        return found[0] if found else 0

    def _leave_earlier(
        self, cursor: duckdb.DuckDBPyConnection, archive: Path, rows: dict[str, str], month: str
    ) -> None:
        """A run that was archived, then tried again, and has ended anew leaves the earlier archive."""
        months = Months(cursor, archive)
        for table in ("artifacts", "task_runs", "runs"):
            for file in months.archived(table):
                if file == archive_file(archive, table, month):
                    continue
                kept = _without(file, table, rows[table])
                found = cursor.execute(
                    f"SELECT (SELECT count(*) FROM {_read(file)}) - (SELECT count(*) FROM ({kept}))"  # noqa: S608
                ).fetchone()
                if found and found[0]:
                    _write(cursor, kept, file)

    def _drop(self, name: str, month: str, archived_rows: int | None) -> None:
        """In one transaction. The tasks go before the runs by which they are found, these before the events by which
        it is known how far the month reached.
        """
        duck = self._duck
        with duck.transaction():
            if archived_rows is not None:
                found = duck.connection.execute(f"SELECT count(*) FROM {name}_{month}").fetchone()  # noqa: S608
                if found != (archived_rows,):
                    raise Grown(f"{name}_{month} has got new rows while it was archived")
            if name == "events":
                for table in ("schedule_decisions", "artifacts", "task_runs", "runs"):
                    duck.connection.execute(statement(f"drop_ended_{table}").replace("{month}", month))
            duck.months.remember(name, month)
            duck.months.drop(name, month)
        with contextlib.suppress(
            duckdb.TransactionException
        ):  # somebody reads just now: the next one will do
            duck.connection.execute("CHECKPOINT")
