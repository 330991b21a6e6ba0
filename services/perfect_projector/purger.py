"""The purge's shell: takes off the bus what the DuckDB file holds for good. What may go is `purge`'s to say.

It sleeps until the next run is due; a run that ends, a fence that has been read and a command wake it. What it has
done is nowhere written down: after a start it asks the bus which runs are still there.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import msgspec

from perfect_bus import Conflict, Guard, append
from perfect_bus.cancelling import cancelled
from perfect_bus.purging import purge, subjects_on
from perfect_projector.batch import Row
from perfect_projector.duck import Duck
from perfect_projector.project import Draft
from perfect_projector.purge import Choice, Ended, Kin, Parent, choose, is_due, until_next
from perfect_projector.sql import statement
from perfect_projector.sweep import sweep
from perfect_projector.values import instant
from perfect_runtime.answers import Answers
from perfect_runtime.service import Context
from perfect_schemas import ids, subjects
from perfect_schemas.commands import Done, Forget, Reply
from perfect_schemas.errors import BusUnavailable, InvalidInput
from perfect_schemas.events import RunArchived

SOURCE = "projector"
PAGE = 500
IDS_AT_ONCE = 5_000
AT_ONCE = 64  # fences under way at a time
BURST = 100  # runs purged between two pauses, which are as long as the work
SLACK = 0.05  # of the age: so many runs are waited for to go together
MOST_SLACK_S = 60.0
AGAIN_S = 1.0

InWriter = Callable[..., Awaitable[Any]]


class Purger:
    """in_writer(function, *arguments): runs it in the thread that writes the file. It reads in a thread of its own."""

    def __init__(self, context: Context, log: Any, duck: Duck, in_writer: InWriter) -> None:
        self._context = context
        self._bus = context.bus
        self._log = log
        self._duck = duck
        self._in_writer = in_writer
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="duck-purge")
        self._cursor: Any = None
        self._after = timedelta(seconds=context.settings.purge_after_s)
        self._slack_s = min(context.settings.purge_after_s * SLACK, MOST_SLACK_S)
        self._position = 0  # every run that ended up to here was looked at
        self._fenced: dict[str, int] = {}  # run id → sequence of its fence
        self._kept: set[str] = set()  # due, but needed
        self._forget: dict[str, int] = {}  # subject on DEFS → sequence up to which it goes
        self._wanted = asyncio.Event()
        self._is_waiting_for_any = False
        self._is_sweep_due = True
        self._ends = 0  # of runs, that were heard of
        self._soon: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[None] | None = None
        self._answers = Answers(context.bus)
        self.purged = 0

    async def start(self) -> None:
        self._cursor = await self._in_writer(self._duck.reader)
        await self._answers.commands("projector", {"forget": self._answer})
        self._work = self._context.spawn(self._run(), "purge")

    async def stop(self) -> None:
        if self._soon is not None:
            self._soon.cancel()
        await self._answers.stop()
        if self._work is not None:
            await cancelled(self._work)
        await asyncio.to_thread(self._reader.shutdown)
        if self._cursor is not None:
            self._cursor.close()
            self._cursor = None

    async def _query(self, name: str, **values: Any) -> list[Row]:
        """The rows of a statement."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._reader, lambda: self._cursor.execute(statement(name), values).fetchall()
        )

    async def _checkpoint(self) -> dict[str, int] | None:
        return await self._in_writer(self._duck.checkpoint)

    def note(self, draft: Draft) -> None:
        """Called after each commit, with what it changed."""
        for entry in draft.runs.values():
            life = entry.history.run
            if life is None or not life.state.is_final:
                continue
            self._ends += 1
            if life.archived:
                self._fenced[life.id] = life.last_seq
            elif not self._after or not (self._is_waiting_for_any or self._kept):
                continue
            self._wake_soon()

    def sweep_soon(self) -> None:
        """Runs have left the file: their large results may be nobody's now."""
        self._is_sweep_due = True
        self._wake_soon()

    def _wake_soon(self) -> None:
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_later(self._slack_s, self._wake)

    def _wake(self) -> None:
        self._soon = None
        self._wanted.set()

    async def _answer(self, data: bytes) -> Reply:
        command = msgspec.json.decode(data, type=Forget)
        if not command.subject.startswith(subjects.limit("")):
            raise InvalidInput(f"{command.subject!r} is no subject that is ever forgotten")
        known = self._forget.get(command.subject, 0)
        self._forget[command.subject] = max(known, command.through)
        self._wake_soon()
        return Reply.of(Done())

    # -- rounds

    async def _run(self) -> None:
        has_begun = False
        while True:
            self._wanted.clear()
            self._is_waiting_for_any = False
            before = self._ends
            try:
                if not has_begun and self._after:
                    await self._begin()
                has_begun = True
                if self._is_sweep_due:
                    swept = await sweep(self._bus, self._query, now=self._context.clock())
                    self._is_sweep_due = False
                    if swept:
                        self._log.info("large results that no run names have left the bus", results=swept)
                delay_s = await self._round()
            except BusUnavailable as error:
                self._log.warning("the purge waits for the bus", error=error.detail)
                delay_s = AGAIN_S
            if delay_s is None and self._ends != before:
                continue  # one ended meanwhile, and may have been overlooked
            self._is_waiting_for_any = delay_s is None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), delay_s)

    async def _begin(self) -> None:
        """What may go of what the bus still holds, whoever was killed in the middle of it."""
        # the file before the bus: what ends in between is found by its place
        offsets = dict(await self._query("offsets"))
        self._position = int(offsets.get("EVENTS", 0))
        here: set[str] = set()
        for subject in (subjects.run("*"), subjects.task("*")):
            here |= {name.rpartition(".")[2] for name in await subjects_on(self._bus, "EVENTS", subject)}
        known = sorted(run_id for run_id in here if ids.is_id(run_id))
        now = self._context.clock()
        for start in range(0, len(known), IDS_AT_ONCE):
            runs = [
                _ended(row)
                for row in await self._query("purge.ended_of", run_ids=known[start : start + IDS_AT_ONCE])
            ]
            _, following = until_next(runs, now=now, after=self._after)
            if following is not None:
                self._position = min(self._position, following.last_seq - 1)
            await self._work_off([run for run in runs if is_due(run, now=now, after=self._after)])

    async def _round(self) -> float | None:
        """Seconds until the next one; None when nobody is there to wait for."""
        again_s: float | None = None
        if self._after:
            if self._kept:
                kept, self._kept = sorted(self._kept), set()
                await self._work_off(
                    [_ended(row) for row in await self._query("purge.ended_of", run_ids=kept)]
                )
            again_s = await self._through_the_ended()
        if (self._fenced or self._forget) and not await self._purge_fenced():
            return AGAIN_S
        return again_s

    async def _through_the_ended(self) -> float | None:
        while True:
            rows = await self._query("purge.ended", after=self._position, limit=PAGE)
            now = self._context.clock()
            ready, following = until_next(map(_ended, rows), now=now, after=self._after)
            await self._work_off([run for run in ready if not run.archived])
            if ready:
                self._position = ready[-1].last_seq
            if following is not None:
                return (following.ended_at + self._after - now).total_seconds() + self._slack_s
            if len(rows) < PAGE:
                return None

    async def _work_off(self, runs: list[Ended]) -> None:
        if not runs:
            return
        choice = choose(runs, await self._kin(runs), now=self._context.clock(), after=self._after)
        self._kept.update(run.run_id for run in (*choice.keep, *choice.rest))
        self._fenced.update({run.run_id: run.last_seq for run in choice.purge if run.archived})
        await self._purge_completed(choice)
        for start in range(0, len(choice.fence), AT_ONCE):
            await asyncio.gather(*map(self._fence, choice.fence[start : start + AT_ONCE]))

    async def _kin(self, runs: list[Ended]) -> Kin:
        callers: set[str] = set()
        origins: set[str] = set()
        for _, parent_id, origin_id in await self._query("purge.live"):
            callers.add(parent_id)
            origins.add(origin_id)
        parents: dict[str, Parent] = {}
        wanted = {run.parent_run_id for run in runs if run.parent_run_id is not None}
        while wanted:
            found = await self._query("purge.parents", run_ids=sorted(wanted))
            parents |= {run_id: Parent(parent_id, is_final) for run_id, parent_id, is_final in found}
            wanted = {parent for _, parent, _ in found if parent is not None and parent not in parents}
        return Kin(callers, origins, parents)

    async def _fence(self, run: Ended) -> None:
        subject = subjects.run(run.run_id)
        event = RunArchived(id=ids.uuid7(), at=self._context.clock(), source=SOURCE, run_id=run.run_id)
        try:
            await append(self._bus, subject, event, Guard(subject, run.last_seq))
        except Conflict:  # it was tried again, or is gone already
            self._log.debug("a run has moved on and stays on the bus", run=run.run_id)

    # -- purging

    async def _purge_completed(self, choice: Choice) -> None:
        """Nothing more can happen to them: all that the file holds of them goes."""
        runs = [run for run in choice.purge if not run.archived]
        while runs:
            offsets = await self._checkpoint()
            if offsets is None:
                await asyncio.sleep(AGAIN_S)  # a query holds on to what was there before: it has a deadline
                continue
            await self._purge({run.run_id: offsets["EVENTS"] for run in runs}, offsets)
            return

    async def _purge_fenced(self) -> bool:
        """False when something has to wait until the file holds it."""
        offsets = await self._checkpoint()
        if offsets is None:
            return False
        ready = {run_id: seq for run_id, seq in self._fenced.items() if seq <= offsets.get("EVENTS", 0)}
        await self._purge(ready, offsets)
        for run_id, seq in ready.items():
            if self._fenced.get(run_id) == seq:
                del self._fenced[run_id]
        for subject, through in list(self._forget.items()):
            if through <= offsets.get("DEFS", 0):
                await purge(self._bus, "DEFS", subject, through=through)
                if self._forget.get(subject) == through:
                    del self._forget[subject]
        return not (self._fenced or self._forget)

    async def _purge(self, runs: dict[str, int], offsets: dict[str, int]) -> None:
        """runs: run id → sequence on EVENTS up to which it goes."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for n, (run_id, through) in enumerate(runs.items(), 1):
            await purge(self._bus, "EVENTS", subjects.task(run_id), through=through)
            await purge(self._bus, "LOGS", subjects.log(run_id), through=offsets.get("LOGS", 0))
            await purge(self._bus, "EVENTS", subjects.run(run_id), through=through)
            self.purged += 1
            if n % BURST == 0:
                await asyncio.sleep(loop.time() - begin)
                begin = loop.time()
        if runs:
            self._log.info("finished runs left the bus", runs=len(runs))


def _ended(row: Row) -> Ended:
    run_id, parent_id, state, ended_at, last_seq, archived = row
    return Ended(run_id, parent_id, state, instant(ended_at), last_seq, archived)  # type: ignore[arg-type]
