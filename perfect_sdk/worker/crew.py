"""The executor processes of a worker: as many as wanted, warm, replaced when they die.

Besides them there may be solo ones, for one suspect run each, so that it takes nobody with it; they end with their run.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

from perfect_sdk.worker.child import Child
from perfect_sdk.worker.forked import ForkedExecutor
from perfect_sdk.worker.frames import Drain, Ended, Ready, Serve, Stop, TaskEnded, Unwound

MAX_EARLY_DEATHS = 3  # executors in a row that end before any has imported the targets
YOUNG_S = 2.0
RESTART_S = (0.0, 0.2, 1.0, 5.0)  # pause before the next executor, by how many died young in a row
STOP_S = 1.5


class Crew:
    """`on_ready(child, frame)`, `on_ended(child, frame)`, `on_died(child)`: see `Child`.

    `on_hopeless(reason)`: the executors die before they have imported anything; no further one is started.
    forked: what the first executors are to be.
    """

    def __init__(
        self,
        serve: Serve,
        processes: int,
        *,
        forked: list[ForkedExecutor] | None = None,
        on_ready: Callable[[Child, Ready], None],
        on_ended: Callable[[Child, Ended | Unwound | TaskEnded], None],
        on_died: Callable[[Child], None],
        on_hopeless: Callable[[str], None],
    ) -> None:
        self._serve = serve
        self._processes = processes
        self._forked = forked or []
        self._on_ready = on_ready
        self._on_ended = on_ended
        self._on_died = on_died
        self._on_hopeless = on_hopeless
        self._children: list[Child] = []
        self._number = 0
        self._young_deaths = 0
        self._was_ready = False
        self._solo_coming = False
        self._stopping = False
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        for _ in range(self._processes):
            await self._add()

    async def _add(self, *, solo: bool = False) -> None:
        self._number += 1
        child = Child(
            self._number, solo=solo, on_ready=self._ready, on_ended=self._on_ended, on_died=self._died
        )
        self._children.append(child)
        forked = self._forked.pop() if self._forked and not solo else None
        await child.start(self._serve, forked)

    def pick(self, keeper: Child | None = None) -> Child | None:
        """The executor with the fewest runs, if one has room. keeper: the one to prefer, if it has."""
        ready = [
            one
            for one in self._children
            if one.is_ready and not one.solo and len(one.runs) < self._serve.concurrency
        ]
        if keeper in ready:
            return keeper
        return min(ready, key=lambda one: len(one.runs), default=None)

    def pick_for_task(self) -> Child | None:
        """The executor with the fewest distributed tasks, if one has room: runs and tasks have places of their own."""
        ready = [
            one
            for one in self._children
            if one.is_ready and not one.solo and len(one.tasks) < self._serve.concurrency
        ]
        return min(ready, key=lambda one: (len(one.tasks), len(one.runs)), default=None)

    def pick_solo(self) -> Child | None:
        """An executor for one run alone; None when it has first to be started, which this does: `on_ready` follows."""
        solo = [one for one in self._children if one.solo]
        for child in solo:
            if child.is_ready and child.is_idle:
                return child
        coming = any(not one.is_ready for one in solo)
        if not coming and not self._solo_coming and len(solo) < self._processes:
            self._solo_coming = True
            self._spawn(self._add_solo())
        return None

    async def _add_solo(self) -> None:
        try:
            await self._pause()
            if not self._stopping:
                await self._add(solo=True)
        finally:
            self._solo_coming = False

    def kill_all(self, why: str) -> None:
        for child in self._children:
            child.kill(why)

    def kill_stopped(self, longer_than_s: float) -> list[Child]:
        """End the executors that a signal stopped so long ago: others go on with their runs. Returns them."""
        found = [child for child in self._children if child.stopped_for() > longer_than_s]
        for child in found:
            child.kill("it was stopped for longer than the lease")
        return found

    def drain(self) -> None:
        """No executor keeps the code of runs that wait any more."""
        for child in self._children:
            child.send(Drain())

    async def stop(self) -> None:
        """End every executor: those that hold nothing may send what waits, for a moment; the others are killed."""
        self._stopping = True
        for child in self._children:
            if not child.is_idle or not child.is_ready:
                child.kill("the worker stops")
            else:
                child.send(Stop())
        try:
            async with asyncio.timeout(STOP_S):
                await self._gone()
        except TimeoutError:
            self.kill_all("the worker stops")
            await self._gone()

    async def _gone(self) -> None:
        while self._children:
            self._changed.clear()
            await self._changed.wait()

    def _ready(self, child: Child, frame: Ready) -> None:
        self._was_ready = True
        self._on_ready(child, frame)

    def _died(self, child: Child) -> None:
        self._children.remove(child)
        self._changed.set()
        if not self._stopping:
            young = time.monotonic() - child.started_at < YOUNG_S
            if not (child.solo and child.killed_for is None and child.was_ready):
                self._young_deaths = self._young_deaths + 1 if young and not child.killed_for else 0
            if not self._was_ready and self._young_deaths >= MAX_EARLY_DEATHS:
                self._stopping = True
                self._on_hopeless(f"executor {child.number} {child.epitaph()} while it imported the flows")
            elif not child.solo:
                self._spawn(self._replace())
        self._on_died(child)

    async def _replace(self) -> None:
        await self._pause()
        if not self._stopping:
            await self._add()

    async def _pause(self) -> None:
        await asyncio.sleep(RESTART_S[min(max(self._young_deaths - 1, 0), len(RESTART_S) - 1)])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
