"""DuckDB as every part of the projector opens it, and whole copies of a file that is open."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

_OURS_ALONE = {  # nothing is fetched, and a name in SQL is never a variable of this program
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}


def connect(file: Path | str, *, read_only: bool = False, **config: Any) -> duckdb.DuckDBPyConnection:
    """`config`: DuckDB's own settings. Times without a zone are UTC. Raises duckdb.Error."""
    connection = duckdb.connect(str(file), read_only=read_only, config={**_OURS_ALONE, **config})
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def log_file(file: Path) -> Path:
    """The write-ahead log that DuckDB keeps beside a file."""
    return file.with_name(file.name + ".wal")


def copy(cursor: duckdb.DuckDBPyConnection, target: Path, name: str) -> None:
    """Write all that is committed to the new file `target`, in one transaction: consistent, and the writer goes on.

    name: of the target while it is attached, which all cursors of a file share: two at a time need two names.
    """
    (live,) = cursor.execute("SELECT current_database()").fetchone() or ("",)
    cursor.execute(f"ATTACH {quoted(target)} AS {name}")
    try:
        cursor.execute(f'COPY FROM DATABASE "{live}" TO {name}')
    finally:
        with contextlib.suppress(duckdb.Error):
            cursor.execute(f"DETACH {name}")


@contextlib.contextmanager
def whole(file: Path, mode: int) -> Iterator[Path]:
    """Where to make a DuckDB file that appears as `file`, with this mode, only when it is complete."""
    partial = file.with_suffix(".partial")
    try:
        yield partial
        partial.chmod(mode)
        partial.rename(file)
    finally:
        partial.unlink(missing_ok=True)
        log_file(partial).unlink(missing_ok=True)


def quoted(file: Path) -> str:
    """As a string in SQL."""
    return "'" + str(file).replace("'", "''") + "'"
