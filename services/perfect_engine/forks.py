"""Forks' shell: reads what the origin has, appends what the fork takes over, and completes it. See `fork`."""

import asyncio
from typing import TYPE_CHECKING

from perfect_bus import Conflict, Guard, append
from perfect_bus.claim import read_history
from perfect_engine import fork
from perfect_engine import run as rules
from perfect_engine.board import Run
from perfect_schemas import subjects
from perfect_schemas.errors import BusUnavailable, ServiceUnavailable
from perfect_schemas.folds.run import RunLife

if TYPE_CHECKING:
    from perfect_engine.process import Process

AT_ONCE = 64


class Forks:
    def __init__(self, process: "Process") -> None:
        self._process = process
        self._bus = process.bus

    def begin(self, run: Run) -> None:
        """For a fork that is open: a new one, or one that another engine left."""
        self._process.spawn(lambda: self._fill(run), "fill a fork")

    async def _fill(self, run: Run) -> None:
        life = run.state
        if life is None or not fork.is_open(life) or life.fork_of is None:
            return
        stamp = self._process.stamp
        try:
            origin = await self._process.past.history(life.fork_of)
        except ServiceUnavailable as error:
            raise BusUnavailable(error.detail) from error  # tried again until the read model answers
        if origin.run is None:
            reason = f"run {life.fork_of}, which it was forked from, is not there any more"
            await self._process.decide(run, lambda life: rules.crash(life, reason, stamp()))
            return
        known = (await read_history(self._bus, life.id)).tasks
        is_changed = life.parameters != origin.run.parameters
        tasks = fork.taken(origin, life.from_key, is_changed=is_changed)
        events = fork.adoptions(life, tasks, known, stamp())
        if not await self._adopt(life, events):
            return  # it has moved on: completed by another engine, or cancelled
        over = fork.waits(origin, life.from_key)
        before = origin.run
        await self._process.decide(run, lambda life: fork.complete(life, before, over, stamp()))

    async def _adopt(self, life: RunLife, events: list) -> bool:
        """In order, many at once; refused once the fork has moved on."""
        guard = Guard(subjects.run(life.id), life.last_seq)
        subject = subjects.task(life.id)
        for start in range(0, len(events), AT_ONCE):
            some = events[start : start + AT_ONCE]
            stored = await asyncio.gather(
                *(append(self._bus, subject, event, guard) for event in some), return_exceptions=True
            )
            for answer in stored:
                if isinstance(answer, Conflict):
                    return False
                if isinstance(answer, BaseException):
                    raise answer
        return True
