"""What has left the bus: the engine asks the read model for it, and brings it back when it is wanted again.

Only what is old is asked for: whether a run may be gone follows from its id, which carries the time of its making, so
that a fresh command costs nothing more.
"""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from perfect_bus import Conflict, Guard, append
from perfect_bus.claim import read_history
from perfect_engine import restore
from perfect_runtime.logged import logged_history
from perfect_schemas import ids, queries, subjects
from perfect_schemas.errors import Failed, NotFound
from perfect_schemas.events import RunArchived
from perfect_schemas.events.task import TaskAdopted
from perfect_schemas.folds.history import History
from perfect_schemas.views import RunView

if TYPE_CHECKING:
    from perfect_engine.process import Process

AT_ONCE = 64
ATTEMPTS = 50
AGAIN_S = 0.1
USUAL_S = 86400.0


class Past:
    def __init__(self, process: "Process", purge_after_s: float) -> None:
        self._process = process
        self._bus = process.bus
        self._old = timedelta(seconds=(purge_after_s or USUAL_S) / 2)

    def may_be_gone(self, run_id: str) -> bool:
        """Runs leave the bus some time after their end: one whose id is younger than half of that is there. An id that
        does not say when it was made may be any age.
        """
        made_at = ids.made_at(run_id)
        return made_at is None or self._process.now() - made_at > self._old

    async def view(self, run_id: str) -> RunView | None:
        """The run, if it may be gone and the read model has it. Raises ServiceUnavailable."""
        if not self.may_be_gone(run_id):
            return None
        try:
            reply = await self._bus.ask(subjects.query("run"), queries.RunDetail(run_id=run_id))
        except NotFound:
            return None
        return msgspec.json.decode(reply.value, type=RunView)

    async def history(self, run_id: str) -> History:
        """All that happened in the run, wherever it stands; `.run` is None when there is no such run.

        What ended long ago is read from the log even if the bus has it: it may be leaving just now.
        Raises BusUnavailable, ServiceUnavailable.
        """
        history = await read_history(self._bus, run_id)
        run = history.run
        if not self.may_be_gone(run_id) or (run is not None and not run.state.is_final):
            return history
        ended_at = run.end_time if run is not None and not run.archived else None
        if ended_at is not None and self._process.now() - ended_at <= self._old:
            return history
        return await logged_history(self._bus, run_id)

    async def bring_back(self, run_id: str, history: History) -> None:
        """Have the run on the bus. history: as `history()` gives it; nothing happens when the run is on the bus.

        Raises BusUnavailable, ServiceUnavailable, TooLarge.
        """
        subject = subjects.run(run_id)
        for attempt in range(ATTEMPTS):
            last = await self._bus.last(subject)
            if last is not None and not isinstance(last[1], RunArchived):
                return
            if attempt or (last is not None and (history.run is None or history.run.last_seq < last[0])):
                history = await logged_history(self._bus, run_id)
            fence = last[0] if last is not None else 0
            if (
                history.run is None or history.run.last_seq < fence
            ):  # the read model has not heard of its end yet
                await asyncio.sleep(AGAIN_S)
                continue
            await self._bring_back_children(run_id, history)
            try:
                await self._append(run_id, history, Guard(subject, fence))
            except Conflict:  # what it was guarded on has left the bus, or another engine was faster
                continue
            return
        raise Failed(f"run {run_id} could not be brought back from the read model: it kept changing")

    async def _bring_back_children(self, run_id: str, history: History) -> None:
        for child_id in await self._children(run_id):
            past = await self.history(child_id)
            if past.run is not None and past.run.state.is_final and restore.goes_on_with(history, past.run):
                await self.bring_back(child_id, past)

    async def _children(self, run_id: str) -> list[str]:
        found: list[str] = []
        cursor: str | None = None
        while True:
            query = queries.RunPage(parent=run_id, limit=1000, cursor=cursor)
            page = msgspec.json.decode(
                (await self._bus.ask(subjects.query("runs"), query)).value, type=queries.Runs
            )
            found += [run.id for run in page.runs]
            cursor = page.next
            if cursor is None:
                return found

    async def _append(self, run_id: str, history: History, guard: Guard) -> None:
        """Raises Conflict."""
        stamp = self._process.stamp()
        subject = subjects.task(run_id)
        there = await self._bus.read(subject, after=guard.seq)
        known = [event.task_key for _, event in there if isinstance(event, TaskAdopted)]
        events = restore.adoptions(history, known, stamp)
        for start in range(0, len(events), AT_ONCE):
            some = events[start : start + AT_ONCE]
            stored = await asyncio.gather(
                *(append(self._bus, subject, event, guard) for event in some), return_exceptions=True
            )
            for answer in stored:
                if isinstance(answer, BaseException):
                    raise answer
        await append(self._bus, guard.subject, restore.restored(history, stamp), guard)
