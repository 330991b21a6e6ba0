"""Where queries of people come in: a few at once, a few more wait for their turn, the rest is told to come again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_projector.duck import Duck
from perfect_projector.sandbox import process
from perfect_projector.sandbox.audience import Audience
from perfect_projector.sandbox.snapshot import Snapshot, Snapshots
from perfect_projector.sandbox.wire import Order, Verdict
from perfect_runtime.answers import Answers
from perfect_schemas import queries as q
from perfect_schemas.commands import Reply
from perfect_schemas.errors import Busy, Failed, InvalidInput, Rejected

WAITING = 8
MOST_QUERY_BYTES = 100_000
MOST_BYTES = 16 * 1024 * 1024
MOST_ROWS = {"json": 10_000, "csv": 1_000_000, "ndjson": 1_000_000, "parquet": 1_000_000}

_decode = msgspec.json.Decoder(q.Sql).decode
_decode_watch = msgspec.json.Decoder(q.SqlWatch).decode


class Desk:
    """Made in the writer's thread, for its cursor. `position`: stream → what is committed now. `no_room()`: why nothing
    may be written to the disk now, "" when it may.
    """

    def __init__(
        self,
        bus: Bus,
        duck: Duck,
        settings: Settings,
        position: Callable[[], dict[str, int]],
        no_room: Callable[[], str] = lambda: "",
    ) -> None:
        cursor = duck.reader()
        cursor.execute("SET max_execution_time = 0")
        self.snapshots = Snapshots(cursor, duck.file, position, archive=duck.archive, no_room=no_room)
        self._settings = settings
        self._turns = asyncio.Semaphore(settings.sql_at_once)
        self._waiting = 0
        self._answers = Answers(bus)
        self._running: set[asyncio.Task[Any]] = set()
        self._audience = Audience()
        self._stopping = False
        self.answered = 0

    async def start(self) -> None:
        await self.snapshots.start()
        await self._answers.queries({"sql": self.sql, "sql_watch": self.watch, "snapshot": self.snapshot})

    async def stop(self) -> None:
        """Queries that run are stopped."""
        self._stopping = True
        await self._answers.stop()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._audience.close()
        await self.snapshots.stop()

    def metrics(self) -> dict[str, float]:
        return {
            "sql_queries_total": self.answered,
            "sql_waiting": self._waiting,
            "sql_running": len(self._running) - self._waiting,
            "snapshots_total": self.snapshots.made,
        }

    async def snapshot(self, _: bytes) -> Reply:
        latest = await self.snapshots.latest()
        answer = q.SqlSnapshot(
            file=str(latest.file.resolve()),
            bytes=latest.file.stat().st_size,
            taken_at=latest.taken_at,
            tables=latest.tables,
        )
        return Reply.of(answer)

    async def sql(self, data: bytes) -> Reply:
        """Raises Rejected for wrong SQL, InvalidInput for what goes beyond a limit, Busy when too many ask."""
        query = _decode(data)
        if len(query.query.encode()) > MOST_QUERY_BYTES:
            raise InvalidInput(f"the query is longer than {MOST_QUERY_BYTES:,} bytes")
        task = asyncio.ensure_future(self._answer(query))
        self._running.add(task)
        self._audience.add(query.query_id, task)
        try:
            return await task
        except asyncio.CancelledError:
            if self._stopping:
                raise Failed("the projector is stopping: ask again in a moment") from None
            raise Failed("the query was stopped: nobody waits for its answer") from None
        finally:
            self._running.discard(task)
            self._audience.remove(query.query_id)

    async def watch(self, data: bytes) -> Reply:
        return Reply.of(self._audience.heard(_decode_watch(data)))

    async def _answer(self, query: q.Sql) -> Reply:
        async with self._turn(), self.snapshots.use() as snapshot:
            body, verdict = await process.run(self._order(query, snapshot))
        self.answered += 1
        _raise_unless_done(verdict)
        is_json = query.format == "json"
        answer = q.SqlResult(
            columns=verdict.columns,
            types=verdict.types,
            row_count=verdict.row_count,
            truncated=verdict.truncated,
            elapsed_ms=verdict.elapsed_ms,
            snapshot_at=snapshot.taken_at,
            rows=msgspec.Raw(body if is_json else b"[]"),
            body=b"" if is_json else body,
        )
        return Reply.of(answer)

    def _order(self, query: q.Sql, snapshot: Snapshot) -> Order:
        return Order(
            file=str(snapshot.file),
            archived=[str(file) for file in snapshot.archived],
            query=query.query,
            parameters=query.parameters,
            format=query.format,
            max_rows=min(max(query.max_rows, 1), MOST_ROWS[query.format]),
            max_bytes=MOST_BYTES,
            deadline_s=self._settings.sql_timeout_s,
            memory_bytes=self._settings.sql_memory_bytes,
        )

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Raises Busy when as many wait as may, or when the wait is as long as a query may take."""
        if self._waiting >= WAITING:
            raise Busy(
                f"{self._settings.sql_at_once} queries are running and {self._waiting} wait: try again soon"
            )
        self._waiting += 1
        try:
            async with asyncio.timeout(self._settings.sql_timeout_s):
                await self._turns.acquire()
        except TimeoutError:
            raise Busy("other queries took all the time that this one could wait: try again soon") from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()


def _raise_unless_done(verdict: Verdict) -> None:
    if verdict.outcome == "refused":
        raise Rejected(verdict.message)
    if verdict.outcome == "exceeded":
        raise InvalidInput(verdict.message)
    if verdict.outcome == "failed":
        raise Failed(verdict.message)
