"""The log in the file: one table a month for `events` and for `logs`, each behind a view of that name.

A month that has expired is dropped as a whole (DELETE never shrinks the file). With an archive folder it is a Parquet
file there first, and stays in the view.
"""

import re
from importlib import resources
from pathlib import Path

import duckdb

from perfect_projector.batch import Batch
from perfect_projector.database import quoted

LOGS = ("events", "logs")
TABLES = (*LOGS, "runs", "task_runs", "artifacts")  # what an archive has files of
MONTH_TABLE = re.compile(r"(events|logs)_(\d{4}_\d{2})")


class Months:
    """known: `events` and `logs` → their months that have a table. unreadable: files of the archive that are damaged, and
    why. The caller opens the transactions.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, archive: Path | None) -> None:
        self._connection = connection
        self._archive = archive
        self.unreadable: dict[Path, str] = {}
        self.known: dict[str, set[str]] = {name: set() for name in LOGS}
        for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
            if found := MONTH_TABLE.fullmatch(table):
                self.known[found[1]].add(found[2])

    def missing(self, batch: Batch) -> list[tuple[str, str]]:
        """The (name, month) that the batch needs and that have no table yet."""
        wanted = {"events": batch.events.keys(), "logs": batch.logs.keys()}
        return [(name, month) for name in LOGS for month in sorted(wanted[name] - self.known[name])]

    def add(self, tables: list[tuple[str, str]]) -> None:
        for name, month in tables:
            self._connection.execute(ddl(name, month))
            self.known[name].add(month)
        self.make_views()

    def drop(self, name: str, month: str) -> None:
        self._connection.execute(f"DROP TABLE {name}_{month}")
        self.known[name].discard(month)
        self.make_views()

    def remember(self, name: str, month: str) -> None:
        self._connection.execute("DELETE FROM archives WHERE name = $1 AND month = $2", [name, month])
        self._connection.execute("INSERT INTO archives VALUES ($1, $2)", [name, month])

    def archived(self, table: str) -> list[Path]:
        """The Parquet files of `events`, `logs`, `runs` or `task_runs` that are there and can be read, oldest month first.
        A file that the database does not know was being written when the process died.
        """
        if self._archive is None:
            return []
        name = "logs" if table == "logs" else "events"
        months = self._connection.execute(
            "SELECT month FROM archives WHERE name = $1 ORDER BY month", [name]
        ).fetchall()
        files = [archive_file(self._archive, table, month) for (month,) in months]
        return [file for file in files if file.exists() and self._is_sound(file)]

    def make_views(self) -> None:
        """`events` and `logs` over all months and archives (without any, over nothing); `archived_runs` and
        `archived_task_runs`, `archived_artifacts` over what left the tables, as long as there is something.
        """
        for name in LOGS:
            parts = [f"FROM {name}_{month}" for month in sorted(self.known[name])]
            if files := self.archived(name):
                parts.insert(0, _parquet(files))
            if not parts:
                self._connection.execute(ddl(name, "none"))
                parts = [f"FROM {name}_none"]
            self._connection.execute(f"CREATE OR REPLACE VIEW {name} AS {' UNION ALL BY NAME '.join(parts)}")
        for name in ("runs", "task_runs", "artifacts"):
            if files := self.archived(name):
                self._connection.execute(f"CREATE OR REPLACE VIEW archived_{name} AS {_parquet(files)}")

    def _is_sound(self, file: Path) -> bool:
        """A view over a file that cannot be read would be none at all. Said once, not with every view."""
        cursor = self._connection.cursor()  # an error there ends no transaction of the caller's
        try:
            cursor.execute(f"SELECT 1 FROM parquet_schema({quoted(file)}) LIMIT 1").fetchall()  # noqa: S608
        except duckdb.Error as error:
            self.unreadable[file] = str(error).partition("\n")[0]
            return False
        finally:
            cursor.close()
        self.unreadable.pop(file, None)
        return True


def _parquet(files: list[Path]) -> str:
    return f"FROM read_parquet([{', '.join(quoted(file) for file in files)}], union_by_name = true)"


def ddl(name: str, month: str) -> str:
    """Of the month's table."""
    return (
        (resources.files("perfect_schemas") / "sql" / f"{name}_month.sql")
        .read_text()
        .replace("{month}", month)
    )


def archive_file(archive: Path, table: str, month: str) -> Path:
    return archive / f"{table}_{month}.parquet"
