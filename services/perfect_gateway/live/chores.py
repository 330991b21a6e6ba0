"""Background work of the live part: one piece at a time for a key, its failure logged and never more than that."""

import asyncio
from collections.abc import Coroutine, Hashable
from typing import Any

import structlog

log = structlog.get_logger("perfect_gateway")


class Chores:
    def __init__(self) -> None:
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}

    def begin(self, key: Hashable, work: Coroutine[Any, Any, None]) -> None:
        """After the work of the same key that is under way."""
        before = self._tasks.get(key)

        async def run() -> None:
            if before is not None:
                await asyncio.wait({before})
            await work

        task = asyncio.create_task(run())
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._done(key, done))

    async def wait(self, key: Hashable) -> None:
        """Returns when nothing is under way for `key`, whatever became of it."""
        task = self._tasks.get(key)
        if task is not None:
            await asyncio.wait({task})

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _done(self, key: Hashable, task: "asyncio.Task[None]") -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning(
                "a live update was left out", update=str(key), error=f"{type(error).__name__}: {error}"
            )
