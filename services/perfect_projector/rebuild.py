"""The read model made anew from the log in the file into a file beside it; then compared.

The whole log is folded run by run in several processes (`rebuilding`). What it has gained until the rebuilt tables take
the place of the others, in one transaction, is folded as live, in the order in which it was written.
"""

import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from perfect_projector import versions
from perfect_projector.batch import Batch, Message
from perfect_projector.database import connect, quoted
from perfect_projector.duck import Duck
from perfect_projector.folding import GC_THRESHOLDS, fold, restore
from perfect_projector.months import Months
from perfect_projector.project import Projection
from perfect_projector.rebuilding.refill import SHARE_EVENTS, refill
from perfect_projector.refold import message_of
from perfect_projector.sql import statement
from perfect_schemas import subjects
from perfect_schemas.errors import InvalidInput, Rejected

REBUILD = "rebuild"
BATCH = 20_000
SHOWN = 20  # differences of each table that are told one by one
TOLERANCE = 1e-9
KEYS = {
    "flows": ("id",),
    "tasks": ("id",),
    "runs": ("id",),
    "task_runs": ("id",),
    "task_statistics": ("id",),
    "flow_statistics": ("id",),
    "daily_statistics": ("id", "measure", "day", "configuration", "flow_version"),
    "clients": ("id",),
    "artifacts": ("id",),
    "schedules": ("id",),
    "schedule_decisions": ("id",),
}
"""The tables that are made from the log, and what tells their rows apart."""

Cursor = duckdb.DuckDBPyConnection
MEMORY_LIMIT = "512MB"  # of DuckDB, while it compares
FOLD_MEMORY_LIMIT = "250MB"  # the same while it folds, when other processes have theirs


class Outcome(msgspec.Struct, kw_only=True):
    """events: how many were folded, in fold_s seconds; compare_s: what the comparison took. failed: events that could not
    be folded, which is the same live. differences: table → how many rows differ. lines: the first of them, as sentences.
    """

    events: int = 0
    failed: int = 0
    fold_s: float = 0.0
    compare_s: float = 0.0
    differences: dict[str, int] = {}
    lines: list[str] = []

    @property
    def is_equal(self) -> bool:
        return not self.differences


def rebuild(
    file: Path,
    scratch: Path,
    *,
    tell: Callable[[int], None] = lambda _: None,
    processes: int | None = None,
    share_events: int = SHARE_EVENTS,
) -> Outcome:
    """Fold the log of `file`, which nobody writes, into the new file `scratch`, and compare. tell(count): how many events
    are folded. processes, share_events: see `refill`. Raises Rejected.
    """
    outcome = Outcome()
    with connect(file, read_only=True, threads=2, memory_limit=FOLD_MEMORY_LIMIT) as log:
        check_whole(log)
        begin = time.perf_counter()
        outcome.events, outcome.failed = fold_anew(
            log, file, scratch, tell=tell, processes=processes, share_events=share_events
        )
        outcome.fold_s = time.perf_counter() - begin
        log.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        begin = time.perf_counter()
        compare(log, scratch, outcome)
        outcome.compare_s = time.perf_counter() - begin
    return outcome


def fold_anew(
    log: Cursor, file: Path, scratch: Path, *, tell: Callable[[int], None], **how: Any
) -> tuple[int, int]:
    """Fold the log of `file`, open in `log`, into the new file `scratch`; how: see `refill`. Returns how many events, and
    how many of them failed.
    """
    rebuilt = Duck(scratch)
    before = gc.get_threshold()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        rebuilt.behind(behind=True)
        return refill(log, file, rebuilt, tell=tell, **how)
    finally:
        rebuilt.close()
        gc.set_threshold(*before)


def check_whole(log: Cursor) -> None:
    """Raises Rejected when a part of the log has left the file: its runs and statistics could not be made again."""
    months = [
        month for (month,) in log.execute("SELECT month FROM archives WHERE name = 'events'").fetchall()
    ]
    if months:
        raise Rejected(
            f"the events of {', '.join(sorted(months))} have left the file by its retention: what they came to, the "
            "statistics above all, could not be made again. The read model is left as it is; `perfect doctor` checks it"
        )


def catch_up(log: Cursor, scratch: Duck, *, tell: Callable[[int], None] = lambda _: None) -> tuple[int, int]:
    """Fold what the log has beyond `scratch` into it. Returns how many events, and how many of them failed.

    One thread reads ahead, this one folds, one writes.
    """
    projection = Projection()
    restore(projection, scratch)
    loader = scratch.loader()
    count = failed = 0
    writing: Future[None] | None = None
    with (
        ThreadPoolExecutor(1, thread_name_prefix="rebuild-writer") as writer,
        _ahead(_batches(log, scratch)) as batches,
    ):
        for messages in batches:
            draft = fold(projection, scratch, loader, messages)
            batch = draft.batch
            batch.events.clear()  # they stay where they are
            count += len(messages)
            failed += len(draft.failed)
            if writing is not None:
                writing.result()
            writing = writer.submit(_write, scratch, batch)
            tell(count)
        if writing is not None:
            writing.result()
    loader.close()
    return count, failed


def _write(scratch: Duck, batch: Batch) -> None:
    try:
        scratch.write(batch)
    except duckdb.ConversionException:
        if not scratch.repair(batch):
            raise
        scratch.write(batch)


def _batches(log: Cursor, scratch: Duck) -> Iterator[list[Message]]:
    offsets = {stream: seq for stream, (seq, _) in scratch.offsets().items()}
    for month in sorted(Months(log, None).known["events"]):
        log.execute(
            statement("log_of_month").replace("{month}", month),
            {"defs": offsets["DEFS"], "events": offsets["EVENTS"]},
        )
        while rows := log.fetchmany(BATCH):
            yield [
                message_of(stream, seq, subjects.run(run_id) if run_id else "", at_us, payload)
                for stream, seq, run_id, at_us, payload in rows
            ]


class _ahead:  # noqa: N801
    """An iterator that is one step ahead, in a thread of its own."""

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="rebuild-reader")

    def __enter__(self) -> Iterator[Any]:
        return self._all()

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def _all(self) -> Iterator[Any]:
        step = self._pool.submit(next, self._source, None)
        while (found := step.result()) is not None:
            step = self._pool.submit(next, self._source, None)
            yield found


def compare(live: Cursor, scratch: Path, outcome: Outcome) -> None:
    """What the tables of `live` and those of the rebuilt file differ in: numbers with a fraction by 1e-9 of themselves."""
    live.execute(f"ATTACH {quoted(scratch)} AS rebuilt (READ_ONLY)")
    try:
        for table, key in KEYS.items():
            count, lines = _differences(live, table, key)
            if count:
                outcome.differences[table] = count
                outcome.lines += lines
    finally:
        live.execute("DETACH rebuilt")


def _differences(live: Cursor, table: str, key: tuple[str, ...]) -> tuple[int, list[str]]:
    columns = live.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = $1 AND database_name = 'rebuilt' "
        "ORDER BY column_index",
        [table],
    ).fetchall()
    others = [(name, kind) for name, kind in columns if name not in key]
    unequal = {name: _unequal(name, kind) for name, kind in others}
    told = ", ".join(
        f"CASE WHEN {test} THEN '{name} is ' || coalesce((a.{name}::VARCHAR)[:60], 'NULL') || ', rebuilt ' || "
        f"coalesce((b.{name}::VARCHAR)[:60], 'NULL') END"
        for name, test in unequal.items()
    )
    same_key = " AND ".join(f"a.{name} = b.{name}" for name in key)
    named = " || ' ' || ".join(f"coalesce(a.{name}, b.{name})::VARCHAR" for name in key)
    one = key[0]
    select = f"""
        SELECT {named}, a.{one} IS NULL, b.{one} IS NULL, list_filter([{told}], lambda text: text IS NOT NULL)
        FROM main.{table} AS a FULL JOIN rebuilt.main.{table} AS b ON {same_key}
        WHERE a.{one} IS NULL OR b.{one} IS NULL OR {" OR ".join(unequal.values())}
    """  # noqa: S608
    count = _one(live, f"SELECT count(*) FROM ({select})")  # noqa: S608
    lines = []
    for name, is_missing, is_extra, texts in live.execute(f"{select} LIMIT {SHOWN}").fetchall():
        what = "has no row, rebuilt it has one" if is_missing else "has a row, rebuilt it has none"
        lines.append(f"{table} {name}: {what if is_missing or is_extra else '; '.join(texts)}")
    rows, wanted = (
        _one(live, f"SELECT count(*) FROM {where}.{table}")  # noqa: S608
        for where in ("main", "rebuilt.main")
    )
    if rows != wanted and not count:
        return abs(rows - wanted), [
            f"{table}: {rows} rows, rebuilt {wanted}: some stand there more than once"
        ]
    return count, lines


def _unequal(name: str, kind: str) -> str:
    if kind == "DOUBLE":
        return (
            f"(a.{name} IS NULL) <> (b.{name} IS NULL) OR abs(a.{name} - b.{name}) > "
            f"{TOLERANCE} * greatest(abs(a.{name}), abs(b.{name}), 1)"
        )
    return f"a.{name} IS DISTINCT FROM b.{name}"


def _one(cursor: Cursor, text: str) -> int:
    found = cursor.execute(text).fetchone()
    return found[0] if found else 0


def replace(duck: Duck, scratch: Path) -> None:
    """Bring the rebuilt file up to the live one, which nobody writes meanwhile, and put its tables in place."""
    if not scratch.is_file():  # done already: the command may be repeated
        return
    rebuilt = Duck(scratch)
    try:
        catch_up(duck.connection.cursor(), rebuilt)
    finally:
        rebuilt.close()
    execute = duck.connection.execute
    execute(f"ATTACH {quoted(scratch)} AS rebuilt (READ_ONLY)")
    try:
        with duck.transaction():
            for table in KEYS:
                execute(f"ALTER TABLE {table} RENAME TO replaced_{table}")
            duck.make_tables()
            for table in KEYS:
                execute(f"INSERT INTO {table} BY NAME FROM rebuilt.main.{table}")
                execute(f"DROP TABLE replaced_{table}")
            versions.record(duck.connection)
        duck.outdated = None
    finally:
        execute("DETACH rebuilt")
    scratch.unlink()


def rebuilt_file(name: str, data_dir: Path) -> Path:
    """Where a rebuild has put its file. Raises InvalidInput for any other place."""
    folder = data_dir.resolve() / REBUILD
    file = Path(name).resolve()
    if file.parent != folder:
        raise InvalidInput(f"{name} is not in {folder}, where a rebuilt read model stands")
    return file
