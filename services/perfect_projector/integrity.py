"""Proof that the file holds together: each check says what it means, what it counted and what offends.

They run in a thread and over a cursor of their own, without a deadline: over a large log they take seconds.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import duckdb
import msgspec

from perfect_bus import Bus
from perfect_bus.purging import missing
from perfect_projector import schedule_refold, slot_log
from perfect_projector.duck import Duck
from perfect_projector.refold import bound, check_runs
from perfect_projector.sql import statement, statements
from perfect_runtime.answers import Answers
from perfect_schemas import queries as q
from perfect_schemas.commands import Reply

FILE = "integrity."
CONDUCT = "conduct."
MOST_SAMPLE = 2_000
MOST_HOLES = 1_000
MOST_ASKED = 100
LINES = 5

Cursor = duckdb.DuckDBPyConnection
Hole = tuple[str, int, int]
"""(stream, before, next): the sequences between the two are not in the log."""

_COMMENT = re.compile(r"\A(?:-- .*\n)+")
_decode = msgspec.json.Decoder(q.Integrity).decode


class Inspector:
    """Made in the writer's thread, for its cursor."""

    def __init__(self, bus: Bus, duck: Duck) -> None:
        self._bus = bus
        self._cursor = duck.loader()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="duck-inspector")
        self._reports: dict[q.Integrity, asyncio.Task[Reply]] = {}
        self._answers = Answers(bus)

    async def start(self) -> None:
        await self._answers.queries({"integrity": self.answer})

    async def stop(self) -> None:
        await self._answers.stop()
        self._cursor.interrupt()
        for task in self._reports.values():
            task.cancel()
        await asyncio.gather(*self._reports.values(), return_exceptions=True)
        await asyncio.to_thread(self._pool.shutdown)
        self._cursor.close()

    async def answer(self, data: bytes) -> Reply:
        """Who asks again while the answer is being made waits for it."""
        query = _decode(data or b"{}")
        task = self._reports.get(query)
        if task is None:
            task = self._reports[query] = asyncio.ensure_future(self._report(query))
            task.add_done_callback(lambda _: self._reports.pop(query, None))
        return await asyncio.shield(task)

    async def _report(self, query: q.Integrity) -> Reply:
        loop = asyncio.get_running_loop()
        made, holes = await loop.run_in_executor(self._pool, report, self._cursor, query)
        if query.holes:
            made.checks.append(
                await check_holes(
                    holes, lambda *hole: missing(self._bus, hole[0], after=hole[1], through=hole[2] - 1)
                )
            )
        return Reply.of(made, seq=made.offsets.get("EVENTS", 0))


def report(cursor: Cursor, query: q.Integrity) -> tuple[q.IntegrityReport, list[Hole]]:
    """All checks that need nothing but the file, in one transaction, and the holes in its log."""
    cursor.execute("BEGIN TRANSACTION READ ONLY")
    try:
        wanted = (FILE, CONDUCT) if query.conduct else (FILE,)
        checks = [_by_sql(cursor, name) for name in statements() if name.startswith(wanted)]
        if query.conduct:
            checks.append(_timed(lambda: _slots(cursor)))
        if query.sample:
            checks.append(_timed(lambda: _refold(cursor, min(query.sample, MOST_SAMPLE))))
            checks.append(_timed(lambda: _refold_schedules(cursor, min(query.sample, MOST_SAMPLE))))
        holes = find_holes(cursor) if query.holes else []
        offsets = dict(cursor.execute(statement("offsets")).fetchall())
        return q.IntegrityReport(offsets=offsets, checks=checks), holes
    finally:
        cursor.execute("ROLLBACK")


def _by_sql(cursor: Cursor, name: str) -> q.IntegrityCheck:
    text = statement(name)
    comment = _COMMENT.match(text)
    meaning = " ".join(line.removeprefix("-- ") for line in comment[0].splitlines()) if comment else ""

    def check() -> q.IntegrityCheck:
        ok, detail, lines = cursor.execute(text).fetchone() or (False, "the check gave no answer", None)
        return q.IntegrityCheck(
            name=name.partition(".")[2], ok=bool(ok), detail=detail, meaning=meaning, lines=lines or []
        )

    return _timed(check)


def _timed(check: Callable[[], q.IntegrityCheck]) -> q.IntegrityCheck:
    begin = time.perf_counter()
    made = check()
    return msgspec.structs.replace(made, elapsed_ms=round((time.perf_counter() - begin) * 1000, 1))


def _slots(cursor: Cursor) -> q.IntegrityCheck:
    rows = cursor.execute(statement("limit_events")).fetchall()
    found = slot_log.check((seq, payload.encode()) for seq, payload in rows)
    most = ", ".join(f"{name} {count}" for name, count in sorted(found.most.items())[:LINES])
    return q.IntegrityCheck(
        name="slots",
        meaning="No slot of a limit was given while all of them were taken.",
        ok=not found.offences,
        detail=f"{found.grants} grants, {len(found.offences)} offences"
        + (f"; most at a time: {most}" if most else ""),
        lines=found.offences[:LINES],
    )


def _refold(cursor: Cursor, sample: int) -> q.IntegrityCheck:
    query = bound(cursor.execute)
    run_ids = [run_id for (run_id,) in query("sampled_runs", limit=sample)]
    compared, left_out, differences = check_runs(query, run_ids)
    note = f", {left_out} whose first events have left the file" if left_out else ""
    return q.IntegrityCheck(
        name="refold",
        meaning="The rows of a run and its tasks are what its events come to, folded afresh.",
        ok=not differences,
        detail=f"{compared} runs compared{note}, {len(differences)} differences",
        lines=differences[:LINES],
    )


def _refold_schedules(cursor: Cursor, sample: int) -> q.IntegrityCheck:
    query = bound(cursor.execute)
    schedule_ids = [schedule_id for (schedule_id,) in query("sampled_schedules", limit=sample)]
    compared, left_out, differences = schedule_refold.check(query, schedule_ids)
    note = f", {left_out} whose first events have left the file" if left_out else ""
    return q.IntegrityCheck(
        name="refold_schedules",
        meaning="The rows of a schedule and of the decisions about it are what its events come to, folded afresh.",
        ok=not differences,
        detail=f"{compared} schedules compared{note}, {len(differences)} differences",
        lines=differences[:LINES],
    )


def find_holes(cursor: Cursor) -> list[Hole]:
    """The first of them, where the log is not continuous."""
    found: list[Hole] = []
    for stream, first, last, count in cursor.execute(statement("log_spans")).fetchall():
        if last - first + 1 > count:
            rows = cursor.execute(statement("log_holes"), {"stream": stream, "limit": MOST_HOLES}).fetchall()
            found += [(stream, before, after) for before, after in rows]
    return found


async def check_holes(holes: list[Hole], gone: Callable[[str, int, int], Awaitable[int]]) -> q.IntegrityCheck:
    """gone(stream, before, next): how many of the sequences between are not on the bus, either."""
    begin = time.perf_counter()
    lost: list[str] = []
    purged = 0
    for stream, before, after in holes[:MOST_ASKED]:
        count = after - before - 1
        left = await gone(stream, before, after)
        purged += left
        if left < count:
            lost.append(
                f"{stream}: {count - left} messages between {before} and {after} are on the bus, not in the log"
            )
    return q.IntegrityCheck(
        name="holes",
        meaning="What is missing in the log between its first and its last message has left the bus, too: nothing that "
        "is there was left out.",
        ok=not lost,
        detail=f"{len(holes)} holes, {purged} messages that had left the bus before they were read"
        + (f" (the first {MOST_ASKED} holes were looked at)" if len(holes) > MOST_ASKED else ""),
        lines=lost[:LINES],
        elapsed_ms=round((time.perf_counter() - begin) * 1000, 1),
    )
