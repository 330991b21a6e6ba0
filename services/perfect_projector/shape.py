"""The columns that tables have: by this version's DDL, and in a file, which is brought to them."""

from importlib import resources
from typing import NamedTuple

import duckdb

from perfect_projector.database import connect
from perfect_projector.months import LOGS, MONTH_TABLE, ddl

Cursor = duckdb.DuckDBPyConnection
NO_MONTH = "none"


class Column(NamedTuple):
    """type, default: as DuckDB writes them; default: None for none."""

    type: str
    is_nullable: bool
    default: str | None

    def __str__(self) -> str:
        default = "" if self.default is None else f" DEFAULT {self.default}"
        return f"{self.type}{'' if self.is_nullable else ' NOT NULL'}{default}"


Shape = dict[str, dict[str, Column]]
"""Table → its columns by name. A month's table of the log stands under `<log>_none`."""


def tables_ddl() -> str:
    return (resources.files("perfect_schemas") / "sql" / "tables.sql").read_text()


def wanted() -> Shape:
    """Of this version."""
    return of_ddl(tables_ddl(), *(ddl(name, NO_MONTH) for name in LOGS))


def of_ddl(*texts: str) -> Shape:
    with connect(":memory:", threads=1) as connection:
        for text in texts:
            connection.execute(text)
        return {table: columns(connection, table) for table in _tables(connection)}


def columns(connection: Cursor, table: str) -> dict[str, Column]:
    found = connection.execute(
        "SELECT column_name, data_type, is_nullable, column_default FROM duckdb_columns() "
        "WHERE table_name = $1 AND database_name = current_database() ORDER BY column_index",
        [table],
    )
    return {name: Column(*rest) for name, *rest in found.fetchall()}


def align(connection: Cursor) -> None:
    """Give the tables in the file the columns of this version; what they have beyond them stays. In the caller's
    transaction. Raises duckdb.Error for a column that must not be NULL, has no default, and for which there are rows.
    """
    shape = wanted()
    for table in _tables(connection):
        month = MONTH_TABLE.fullmatch(table)
        kind = f"{month[1]}_{NO_MONTH}" if month else table
        if kind not in shape:
            continue
        have = columns(connection, table)
        for name, column in shape[kind].items():
            if name not in have:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {column}")
            elif have[name] != column:
                _change(connection, table, name, column)
        for name in have.keys() - shape[kind].keys():  # nothing writes it any more
            if not have[name].is_nullable:
                connection.execute(f"ALTER TABLE {table} ALTER COLUMN {name} DROP NOT NULL")


def _change(connection: Cursor, table: str, name: str, column: Column) -> None:
    alter = f"ALTER TABLE {table} ALTER COLUMN {name}"
    value = f"{name}::{column.type}"
    if not column.is_nullable and column.default is not None:
        value = f"coalesce({value}, {column.default})"
    connection.execute(f"{alter} SET DATA TYPE {column.type} USING {value}")
    connection.execute(
        f"{alter} DROP DEFAULT" if column.default is None else f"{alter} SET DEFAULT {column.default}"
    )
    connection.execute(f"{alter} {'DROP' if column.is_nullable else 'SET'} NOT NULL")


def _tables(connection: Cursor) -> list[str]:
    found = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() ORDER BY table_name"
    )
    return [table for (table,) in found.fetchall()]
