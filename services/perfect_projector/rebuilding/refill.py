"""The read model of a whole log, into a file that is empty: shares of the runs in several processes, then one file."""

import gc
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import duckdb

from perfect_projector.database import connect
from perfect_projector.duck import Duck
from perfect_projector.months import Months
from perfect_projector.rebuilding import parent
from perfect_projector.rebuilding.course import Runs
from perfect_projector.rebuilding.share import MEMORY_LIMIT, Folded, Folder, Share
from perfect_projector.refold import message_of
from perfect_projector.sql import statement
from perfect_projector.values import text
from perfect_schemas import codec
from perfect_schemas.events import FlowRegistered
from perfect_schemas.ids import is_id

SHARE_EVENTS = 50_000
ALONE_EVENTS = 100_000  # below, other processes would take longer to start than to help
WRITE_ROWS = 20_000
PUT_FILES = 8  # of task runs: some more than one group of rows of the table
MOST_PROCESSES = 4
_PUT_RUNS = """
    INSERT INTO runs BY NAME
    SELECT part.* REPLACE (
      measured.progress AS progress, measured.tasks_total AS tasks_total, measured.forecast AS forecast
    )
    FROM read_parquet($files) AS part
    JOIN measured ON measured.id = part.id
"""
_PUT_TASK_RUNS = "INSERT INTO task_runs BY NAME FROM read_parquet($files)"
_folder: Folder | None = None

Cursor = duckdb.DuckDBPyConnection
Tell = Callable[[int], None]


def refill(
    log: Cursor,
    file: Path,
    scratch: Duck,
    *,
    tell: Tell,
    share_events: int = SHARE_EVENTS,
    processes: int | None = None,
) -> tuple[int, int]:
    """Fold the log, open in `log`, of the file into `scratch`, which has nothing yet. Returns how many events, and how many
    of them could not be folded.

    processes: that fold shares beside this one, None for as many as there are processors; 0: this one folds them.
    """
    ends = {stream: (count, seq) for stream, count, seq in log.execute(statement("rebuild.ends")).fetchall()}
    total = sum(count for count, _ in ends.values())
    shares = [
        Share(number, *row)
        for number, row in enumerate(
            log.execute(statement("rebuild.shares"), {"size": share_events}).fetchall()
        )
    ]
    runs = Runs()
    known_from = _define(log, runs)
    if processes is None:
        processes = 0 if total < ALONE_EVENTS else min(os.cpu_count() or 1, MOST_PROCESSES)
    parts = scratch.file.with_name(scratch.file.name + ".parts")
    parts.mkdir(mode=0o700)
    try:
        scratch.connection.execute(
            "CREATE TEMP TABLE measured (id UUID, progress DOUBLE, tasks_total INTEGER, forecast VARCHAR)"
        )
        files: list[Path] = []
        told = total - sum(share.events for share in shares)
        least = _least(shares)
        for folded in _folded(log, file, parts, known_from, shares, processes):
            runs.take(folded)
            files += folded.files
            runs.advance(least[folded.share.number])
            files = _put_task_runs(scratch, files, PUT_FILES)
            if len(runs.measured) + len(runs.batch.new_task_runs) >= WRITE_ROWS:
                _write(scratch, runs)
            told += folded.share.events
            tell(told)
        runs.advance(float("inf"))
        runs.sums.take_rows(runs.batch)
        _write(scratch, runs)
        _put_task_runs(scratch, files, 1)
        _put_runs(scratch, sorted(map(str, parts.glob("runs-*"))))
        with scratch.transaction():
            for stream in ends.keys() & {"DEFS", "EVENTS"}:
                scratch.connection.execute(statement("set_offset"), [stream, ends[stream][1]])
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    return total, runs.failed


def _define(log: Cursor, runs: Runs) -> dict[str, int]:
    """Hand over what the log says of flows, clients and schedules. Returns behind which sequence of EVENTS it tells
    first of each flow.
    """
    known_from: dict[str, int] = {}
    before = 0
    for month in sorted(Months(log, None).known["events"]):
        said = log.execute(statement("rebuild.definitions").replace("{month}", month)).fetchall()
        for seq, at_us, payload, found in said:
            before = max(before, found)
            message = message_of("DEFS", seq, "", at_us, payload)
            runs.define(message, before)
            event = codec.decode(message.data)
            if isinstance(event, FlowRegistered) and all(
                map(is_id, [event.flow_id, *(t.id for t in event.tasks)])
            ):
                known_from.setdefault(event.flow_id, before)
    return known_from


def _least(shares: list[Share]) -> list[float]:
    """Of each share: the least sequence of all shares after it."""
    least: list[float] = []
    found = float("inf")
    for share in reversed(shares):
        least.append(found)
        found = min(found, share.first_seq)
    return least[::-1]


def _folded(
    log: Cursor, file: Path, parts: Path, known_from: dict[str, int], shares: list[Share], processes: int
) -> Iterator[Folded]:
    """In their order."""
    if not processes:
        folder = Folder(log.cursor(), parts, known_from)
        yield from map(folder.fold, shares)
        return
    waiting = deque(shares)
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (file, parts, known_from)) as pool:
        try:
            going = deque(pool.submit(_fold, waiting.popleft()) for _ in shares[: 3 * processes])
            while going:
                folded = going.popleft().result()
                if waiting:
                    going.append(pool.submit(_fold, waiting.popleft()))
                yield folded
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(file: Path, parts: Path, known_from: dict[str, int]) -> None:
    """In a process of its own: it lives as long as the rebuild."""
    global _folder
    parent.follow()
    gc.disable()  # a share leaves nothing behind that refers to itself
    _folder = Folder(connect(file, read_only=True, threads=1, memory_limit=MEMORY_LIMIT), parts, known_from)


def _fold(share: Share) -> Folded:
    assert _folder is not None
    return _folder.fold(share)


def _write(scratch: Duck, runs: Runs) -> None:
    if runs.measured:
        scratch.connection.execute(
            "INSERT INTO measured SELECT unnest($1::JSON::UUID[]), unnest($2::JSON::DOUBLE[]), "
            "unnest($3::JSON::INTEGER[]), unnest($4::JSON::VARCHAR[])",
            [text(column) for column in zip(*runs.measured, strict=True)],
        )
        runs.measured.clear()
    try:
        scratch.write(runs.batch)
    except duckdb.ConversionException:
        if not scratch.repair(runs.batch):
            raise
        scratch.write(runs.batch)
    runs.written()


def _put_task_runs(scratch: Duck, files: list[Path], least: int) -> list[Path]:
    """When there are as many as `least`, while other processes fold: so that little is left to do at the end. Returns those
    that are not put yet.
    """
    found = [file for file in files if file.name.startswith("task_runs-")]
    if len(found) < least:
        return files
    scratch.connection.execute(_PUT_TASK_RUNS, {"files": sorted(map(str, found))})
    for file in found:
        file.unlink()
    return []


def _put_runs(scratch: Duck, files: list[str]) -> None:
    if files:
        scratch.connection.execute(_PUT_RUNS, {"files": files})
    scratch.connection.execute("DROP TABLE measured")
