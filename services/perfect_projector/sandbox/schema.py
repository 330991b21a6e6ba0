"""What a snapshot has beyond a copy: the views for people, and a comment on everything."""

import re
from importlib import resources
from pathlib import Path

import duckdb

from perfect_schemas.queries import SqlColumn, SqlTable

_MONTH = re.compile(r"^(events|logs)_\d{4}_\d{2}$")
_CONFIG = {
    "threads": 1,
    "memory_limit": "128MB",
    "temp_directory": "",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


def view_files() -> dict[str, str]:
    """Name → SQL that makes the view and says what it is, in the order in which they are made."""
    folder = resources.files(__package__ or __name__) / "views"
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name
    )
    return {file.name.removesuffix(".sql"): file.read_text() for file in files}


def complete(file: Path) -> list[SqlTable]:
    """Add the views to the copy, by a DuckDB of its own. Returns what there is to query, views first."""
    connection = duckdb.connect(str(file), config=_CONFIG)
    try:
        connection.execute("SET TimeZone = 'UTC'")
        join_months(connection)
        for sql in view_files().values():
            connection.execute(sql)
        return tables(connection)
    finally:
        connection.close()


def join_months(connection: duckdb.DuckDBPyConnection) -> None:
    """`events` and `logs` over the months that are in the copy. Months in an archive are files, which a query cannot
    read: the views over them go.
    """
    archived = connection.execute(
        "SELECT view_name FROM duckdb_views() WHERE starts_with(view_name, 'archived_')"
    )
    for (view,) in archived.fetchall():
        connection.execute(f'DROP VIEW "{view}"')
    names = [name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
    for view in ("events", "logs"):
        months = sorted(name for name in names if _MONTH.match(name) and name.startswith(view))
        if not months:
            empty = resources.files("perfect_schemas") / "sql" / f"{view}_month.sql"
            connection.execute(empty.read_text().replace("{month}", "none"))
        body = " UNION ALL BY NAME ".join(f"FROM {month}" for month in months or [f"{view}_none"])
        connection.execute(f"CREATE OR REPLACE VIEW {view} AS {body}")


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
        if not _MONTH.match(name) and not name.endswith("_none")
    ]
