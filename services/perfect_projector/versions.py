"""The versions of the tables (`perfect_schemas/sql`), and what each has changed.

Whoever changes a table, or what a row of a read model means, adds a `Change` here and runs `just snapshots`.
"""

from pathlib import Path
from typing import NamedTuple

import duckdb

from perfect_schemas.errors import Failed


class Change(NamedTuple):
    """is_anew: rows that an older version has made are not what this one would make of the same events, so that the read
    models are made anew from the log. Otherwise what is missing is added, new columns with their defaults.
    """

    version: int
    what: str
    is_anew: bool


CHANGES = (
    Change(1, "the first tables", is_anew=False),
    Change(
        2,
        "artifacts, schedules and the decisions about their instants, deployments of flows, names of runs",
        is_anew=True,
    ),
)
SCHEMA_VERSION = CHANGES[-1].version


def version_of(connection: duckdb.DuckDBPyConnection, file: Path) -> int | None:
    """The version of the tables in the file, None when it has none yet. Raises Failed for a newer one than this knows."""
    execute = connection.execute
    if not execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'schema_version'").fetchone():
        return None
    (found,) = execute("SELECT max(version) FROM schema_version").fetchone() or (None,)
    if found is not None and found > SCHEMA_VERSION:
        raise Failed(
            f"{file} was written by a newer version of Perfect (schema {found}, this one knows {SCHEMA_VERSION}): update "
            "Perfect, or move the file away to have it made again from the bus"
        )
    return found


def record(connection: duckdb.DuckDBPyConnection) -> None:
    """The file is of this version now. In the caller's transaction."""
    connection.execute(
        "INSERT INTO schema_version SELECT $1, now()::TIMESTAMP "
        "WHERE NOT EXISTS (FROM schema_version WHERE version >= $1)",
        [SCHEMA_VERSION],
    )


def is_anew_since(version: int) -> bool:
    """Whether rows of that version have to be made anew."""
    return any(change.is_anew for change in CHANGES if change.version > version)
