"""What a query's process may not do. Everything here is called in that process, before the query is read.

The limits of the operating system come first and are never loosened: they hold whatever DuckDB does.
"""

import contextlib
import os
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from perfect_projector.database import connect
from perfect_projector.sandbox import landlock

NICE = 10
RESERVE_BYTES = 512 * 1024 * 1024  # beside what DuckDB accounts for: rows in Python, arenas of the allocators
MAPPED_BYTES = 1024 * 1024 * 1024  # what is mapped before a query, where the system does not say it
STDOUT = "/dev/stdout"


def limit_process(*, cpu_s: float) -> None:
    """Yield to everybody else; no file may grow or, where the kernel can do that, be opened to be written or made at
    all; no core is left, processor time is bounded.
    """
    os.nice(NICE)
    with contextlib.suppress(OSError):  # not on every system: memory gets short here first
        Path("/proc/self/oom_score_adj").write_text("1000")
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CPU, int(cpu_s) + 1)
    landlock.only_read()


def limit_memory(memory_bytes: int) -> None:
    """To be called when the snapshot is open: beyond what is mapped then, a query gets `memory_bytes` and a reserve.

    DuckDB's own limit is not enough: one function call can ask for gigabytes that it does not count.
    """
    _limit(resource.RLIMIT_AS, _mapped_bytes() + memory_bytes + RESERVE_BYTES)


def _mapped_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return MAPPED_BYTES


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


def locked(
    file: str, *, archived: Sequence[str] = (), deadline_s: float, memory_bytes: int, to_stdout: bool
) -> duckdb.DuckDBPyConnection:
    """The snapshot, read-only, in a DuckDB whose settings cannot be changed any more.

    archived: the files that it may open besides, each by its name: in a folder that it may use, it could list and make
    some. DuckDB itself would also write to them; what keeps it from that are the limits of the process.
    to_stdout: DuckDB itself may write to this process's stdout (to make Parquet), to nothing else.
    """
    connection = connect(file, read_only=True, **_settings(memory_bytes))
    connection.execute(f"SET max_execution_time = {int(deadline_s * 1000)}")
    if allowed := [*archived, STDOUT] if to_stdout else list(archived):
        connection.execute("SET allowed_paths = $1", [allowed])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _settings(memory_bytes: int) -> dict[str, Any]:
    return {
        "threads": 1,
        "memory_limit": f"{memory_bytes // 1024}KiB",
        "temp_directory": "",
        "max_temp_directory_size": "0KiB",
        "allow_community_extensions": False,
        "preserve_insertion_order": True,
    }
