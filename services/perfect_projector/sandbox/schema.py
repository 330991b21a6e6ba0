"""What a snapshot has beyond a copy: the views for people, and a comment on everything."""

from importlib import resources
from pathlib import Path
from typing import NamedTuple

import duckdb

from perfect_projector.database import connect
from perfect_projector.months import MONTH_TABLE, TABLES, Months
from perfect_schemas.queries import SqlColumn, SqlTable

MEMORY_LIMIT = "128MB"


def view_files() -> dict[str, str]:
    """Name → SQL that makes the view and says what it is, in the order in which they are made."""
    folder = resources.files(__package__ or __name__) / "views"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return {file.name.removesuffix(".sql"): file.read_text() for file in files}


class Contents(NamedTuple):
    """tables: what there is to query, views first. archived: the files of the archive that the views read."""

    tables: list[SqlTable]
    archived: list[Path]


def complete(file: Path, archive: Path | None = None) -> Contents:
    """Add the views to the copy, by a DuckDB of its own."""
    with connect(file, threads=1, memory_limit=MEMORY_LIMIT, temp_directory="") as connection:
        archived = join_months(connection, archive)
        for rows in ("runs", "task_runs", "artifacts"):
            connection.execute(f"CREATE VIEW IF NOT EXISTS archived_{rows} AS FROM {rows} LIMIT 0")
        for sql in view_files().values():
            connection.execute(sql)
        return Contents(tables(connection), archived)


def join_months(connection: duckdb.DuckDBPyConnection, archive: Path | None = None) -> list[Path]:
    """`events` and `logs` over the months that are in the copy and, with an archive folder, over the files there that
    exist now; `archived_runs` and `archived_task_runs` over theirs. Returns these files.
    """
    archived = connection.execute(
        "SELECT view_name FROM duckdb_views() WHERE starts_with(view_name, 'archived_')"
    )
    for (view,) in archived.fetchall():
        connection.execute(f'DROP VIEW "{view}"')
    months = Months(connection, archive)
    months.make_views()
    return [file for table in TABLES for file in months.archived(table)]


_TABLES = """
SELECT name, kind, comment FROM (
  SELECT table_name AS name, 'table' AS kind, comment FROM duckdb_tables() WHERE NOT internal
  UNION ALL
  SELECT view_name, 'view', comment FROM duckdb_views() WHERE NOT internal
)
ORDER BY NOT starts_with(name, 'v_'), name
"""
_COLUMNS = """
SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE NOT internal
ORDER BY table_name, column_index
"""


def tables(connection: duckdb.DuckDBPyConnection) -> list[SqlTable]:
    """The months' own tables are left out: `events` and `logs` show them."""
    columns: dict[str, list[SqlColumn]] = {}
    for table, name, kind, comment in connection.execute(_COLUMNS).fetchall():
        columns.setdefault(table, []).append(SqlColumn(name=name, type=kind, comment=comment or ""))
    return [
        SqlTable(name=name, kind=kind, comment=comment or "", columns=columns.get(name, []))
        for name, kind, comment in connection.execute(_TABLES).fetchall()
        if not MONTH_TABLE.fullmatch(name) and not name.endswith("_none")
    ]
