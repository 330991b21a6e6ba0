"""A few threads with a cursor each, in which queries run beside the writer. What the front knows needs none of them."""

import asyncio
import functools
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import duckdb
import msgspec

from perfect_bus import Bus
from perfect_projector import replies
from perfect_projector.duck import Duck
from perfect_projector.front import Front
from perfect_runtime.answers import Answers
from perfect_schemas import charts
from perfect_schemas import queries as q
from perfect_schemas.commands import Reply
from perfect_schemas.errors import TimedOut

READERS = 3


class Readers:
    def __init__(self, bus: Bus, duck: Duck, front: Front) -> None:
        self._front = front
        self._cursors: deque[duckdb.DuckDBPyConnection] = deque(duck.reader() for _ in range(READERS))
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="duck-reader")
        self._answers = Answers(bus)

    async def start(self) -> None:
        await self._answers.queries(
            {name: self._handler(name, kind, reply) for name, (kind, reply) in replies.REPLIES.items()}
        )

    async def stop(self) -> None:
        """Take no more questions, let what is being answered end, then close the cursors."""
        await self._answers.stop()
        await asyncio.to_thread(self._pool.shutdown)
        while self._cursors:
            self._cursors.pop().close()

    def _handler(
        self, name: str, kind: type, reply: Callable[[Any, Any], Any]
    ) -> Callable[[bytes], Awaitable[Reply]]:
        decode = msgspec.json.Decoder(kind).decode

        async def handle(data: bytes) -> Reply:
            query = decode(data or b"{}")
            front = self._front
            seq = front.seq
            if (known := front.answer(query)) is not None:
                return Reply.of(known, seq)
            work = functools.partial(self._answer, name, self._with_front(query, reply), query)
            answered = await asyncio.get_running_loop().run_in_executor(self._pool, work)
            if isinstance(
                query, q.FlowDetail | q.WholeFlow
            ):  # what came from the front may be older than what came from the file
                return msgspec.structs.replace(answered, seq=min(seq, answered.seq or 0))
            return answered

        return handle

    def _with_front(self, query: Any, reply: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """`reply`, or what is quicker with what the front knows. Raises NotFound."""
        if isinstance(query, q.RunPage):
            return self._front.runs.page
        if isinstance(query, q.FlowDetail) and (flow := self._front.flow(query)) is not None:
            return lambda cursor, _: replies.with_statistics(cursor, flow, self._front.rolls)
        if isinstance(query, q.WholeFlow) and (flow := self._front.flow(query)) is not None:
            return functools.partial(
                replies.whole_flow, flow=flow, shown=self._front.runs, rolls=self._front.rolls
            )
        if isinstance(query, q.Statistics):
            return functools.partial(replies.statistics, rolls=self._front.rolls)
        if isinstance(query, charts.TaskHistory):
            return functools.partial(replies.task_history, rolls=self._front.rolls)
        return reply

    def _answer(self, name: str, reply: Callable[[Any, Any], Any], query: Any) -> Reply:
        cursor = self._cursors.pop()
        try:
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            try:
                seq = replies.offsets(cursor).get("EVENTS", 0)
                return Reply.of(reply(cursor, query), seq)
            finally:
                cursor.execute("ROLLBACK")
        except duckdb.InterruptException as error:
            raise TimedOut(
                f"query {name} took too long and was stopped: narrow it, by time for example"
            ) from error
        finally:
            self._cursors.append(cursor)
