"""Queries that run, and whether somebody still waits for them: who asked says so every second, or says that it is over.

A query that nobody has asked after for a while is stopped: its asker was killed. One that says `stop` is stopped at once.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from perfect_schemas.queries import SqlWatch, SqlWatched

SILENT_S = 10.0
REMEMBERED_S = 30.0  # an answer in chunks is fetched after the query has ended


class Audience:
    """silent_s: after which a query without a word from its asker is stopped."""

    def __init__(self, silent_s: float = SILENT_S) -> None:
        self._silent_s = silent_s
        self._stops: dict[str, Callable[[], object]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._ended: dict[str, asyncio.TimerHandle] = {}

    def add(self, query_id: str, task: "asyncio.Task[Any]") -> None:
        """The task is cancelled when nobody waits for it any more. Without an id nobody ever says so."""
        if query_id:
            self._stops[query_id] = task.cancel
            self._expect(query_id)

    def remove(self, query_id: str) -> None:
        """It has ended."""
        if self._stops.pop(query_id, None) is None:
            return
        self._timers.pop(query_id).cancel()
        forget = asyncio.get_running_loop().call_later(REMEMBERED_S, self._ended.pop, query_id, None)
        self._ended[query_id] = forget

    def heard(self, watch: SqlWatch) -> SqlWatched:
        stop = self._stops.get(watch.query_id)
        if stop is None:
            return SqlWatched(is_known=watch.query_id == "" or watch.query_id in self._ended)
        if watch.stop:
            stop()
        else:
            self._timers[watch.query_id].cancel()
            self._expect(watch.query_id)
        return SqlWatched(is_known=True)

    def close(self) -> None:
        for timer in (*self._timers.values(), *self._ended.values()):
            timer.cancel()
        self._timers.clear()
        self._ended.clear()
        self._stops.clear()

    def _expect(self, query_id: str) -> None:
        loop = asyncio.get_running_loop()
        self._timers[query_id] = loop.call_later(self._silent_s, self._stops[query_id])
