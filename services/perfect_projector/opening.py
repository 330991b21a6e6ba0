"""Opening a DuckDB file that may be damaged.

What is damaged is set aside under a name that says so, never removed. Without its write-ahead log the file is as of its
last checkpoint, and what came after it is still on the bus (nothing leaves the bus before). Without the file all that the
bus still holds is read again; what had left the bus is in the file that was set aside, and in backups.

Damage in the middle of a file shows when it is read: whoever meets it leaves a mark beside the file (`suspect`) and ends,
and whoever opens the file next reads all of it before it is used.
"""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import duckdb

from perfect_projector.database import log_file
from perfect_schemas.errors import Failed

T = TypeVar("T")
Connection = duckdb.DuckDBPyConnection

HEADER_BYTES = 3 * 4096
_DAMAGE = (
    "corrupt",
    "Could not read enough bytes",
    "not a valid DuckDB database",
    "Failed to deserialize",
    "checksum",
)
_NO_DAMAGE = {  # what says so → what to do
    "Could not set lock": "it is in use by another process; only one projector can run on a data folder",
    "Permission denied": "this user may not read and write it: give it back its owner and mode (chmod u+rw)",
    "Is a directory": "there is a folder of that name: move it away",
    "but we can only read": "it was written by a newer version of DuckDB: update Perfect, or move the file away to have "
    "it made again from the bus",
    "Read-only file system": "its disk is read-only: make it writable",
    "No space left": "its disk is full: free some space",
}


class Opened(NamedTuple, Generic[T]):
    """ready: what `prepare` returned. log_aside, file_aside: where a damaged write-ahead log or file was put. why: what
    was wrong with it, in DuckDB's words.
    """

    connection: Connection
    ready: T
    log_aside: Path | None
    file_aside: Path | None
    why: str


def is_damage(error: duckdb.Error) -> bool:
    text = str(error)
    return any(sign.lower() in text.lower() for sign in _DAMAGE)


def suspect(file: Path, error: duckdb.Error) -> None:
    """Have the whole file read when it is opened next."""
    _mark(file).write_text(str(error))


def opened(file: Path, connect: Callable[[], Connection], prepare: Callable[[Connection], T]) -> Opened[T]:
    """prepare: reads and writes what every use of the file begins with. Raises Failed, with what to do, for what is no
    damage: another process, a missing right, a newer version …
    """
    log_aside: Path | None = None
    why = ""
    try:
        return _result(*_attempt(file, connect, prepare))
    except duckdb.Error as error:
        _refuse(file, error)
        why = _line(error)
        if log_file(file).exists():
            log_aside = _set_aside(log_file(file))
        elif not is_damage(error):
            raise Failed(f"{file} cannot be opened: {error}") from error
    if log_aside is not None:
        try:
            ready = _attempt(file, connect, prepare, is_suspect=True)
            return _result(*ready, log_aside=log_aside, why=why)
        except duckdb.Error as error:
            _refuse(file, error)
            why = _line(error)
            if not is_damage(error):
                raise Failed(
                    f"{file} cannot be opened, not even without its write-ahead log (kept as {log_aside.name}): restore "
                    f"a backup, or move both away to have it made again from the bus: {error}"
                ) from error
    file_aside = _set_aside(file)
    if log_file(file).exists():
        log_aside = _set_aside(log_file(file))
    _mark(file).unlink(missing_ok=True)
    return _result(*_attempt(file, connect, prepare), log_aside=log_aside, file_aside=file_aside, why=why)


def _result(
    connection: Connection,
    ready: T,
    *,
    log_aside: Path | None = None,
    file_aside: Path | None = None,
    why: str = "",
) -> Opened[T]:
    return Opened(connection, ready, log_aside, file_aside, why)


def _attempt(
    file: Path,
    connect: Callable[[], Connection],
    prepare: Callable[[Connection], T],
    *,
    is_suspect: bool = False,
) -> tuple[Connection, T]:
    """Raises, with the file closed, duckdb.Error for what cannot be opened or is damaged, Failed for any other trouble."""
    connection = connect()
    try:
        if is_suspect or _mark(file).exists() or _is_short(file, connection):
            _read_all(connection)
            _mark(file).unlink(missing_ok=True)
        return connection, prepare(connection)
    except BaseException as error:
        with contextlib.suppress(duckdb.Error):
            connection.close()
        if isinstance(error, duckdb.Error) and not is_damage(error):
            raise Failed(f"{file} cannot be used: {error}") from error
        raise


def _refuse(file: Path, error: duckdb.Error) -> None:
    for sign, what in _NO_DAMAGE.items():
        if sign in str(error):
            raise Failed(f"{file} cannot be opened: {what} ({_line(error)})") from error


def _line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]


def _is_short(file: Path, connection: Connection) -> bool:
    """Ends before its last block: it was cut."""
    found = connection.execute("SELECT block_size, total_blocks FROM pragma_database_size()").fetchone()
    return found is not None and HEADER_BYTES + found[0] * found[1] > file.stat().st_size


def _read_all(connection: Connection) -> None:
    """Every block of every table. Raises duckdb.Error for one that is damaged."""
    for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
        connection.execute(f'SELECT bit_xor(hash(rows)) FROM "{table}" AS rows').fetchall()  # noqa: S608


def _mark(file: Path) -> Path:
    return file.with_name(file.name + ".suspect")


def _set_aside(file: Path) -> Path:
    return file.rename(file.with_name(f"{file.name}.damaged-{time.time_ns()}"))
