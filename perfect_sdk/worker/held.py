"""The runs that a worker holds, and what becomes of one whose executor has died.

The verdict is a pure function of the run's life and of what the worker knows; `Recovery` carries it out on the bus.
"""

import asyncio
from typing import Literal

import msgspec

from perfect_bus import Bus, Conflict, Guard, append
from perfect_bus.claim import start_epoch
from perfect_schemas import codec, ids, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.commands import HandOver
from perfect_schemas.envelope import Event, utc_now
from perfect_schemas.errors import BusUnavailable
from perfect_schemas.events import FINAL_TASK_EVENTS, RunCancelled, RunLost
from perfect_schemas.folds import run as run_fold
from perfect_schemas.folds.run import RunLife
from perfect_schemas.states import RunState

PAGE = 100
MAX_DEATHS = 3  # executors that one run may end in a row without a newly completed task

Verdict = Literal["resume", "cancelled", "give_back", "drop"]


class Held(msgspec.Struct, kw_only=True):
    """One claim. deaths: executors that ended under the run since it last completed a task; counted_seq: whatever was
    completed up to this sequence is counted. cancelling: its executor has been told.
    """

    hand_over: HandOver
    epoch: int
    claim_seq: int
    flow_version: str | None
    replay: bool
    deaths: int = 0
    counted_seq: int = 0
    cancelling: bool = False

    @property
    def suspect(self) -> bool:
        """Its executors keep dying: the next one is its own, so that it takes no other run with it."""
        return self.deaths >= MAX_DEATHS - 1

    @property
    def key(self) -> tuple[str, int]:
        return self.hand_over.run_id, self.epoch


def judge(life: RunLife | None, held: Held, client_id: str, *, deaths: int) -> Verdict:
    """What to do with a run whose executor is gone."""
    if life is None or life.epoch != held.epoch or life.client_id != client_id:
        return "drop"
    if life.state is RunState.CANCELLING:
        return "cancelled"
    if life.state is not RunState.RUNNING:
        return "drop"
    return "give_back" if deaths >= MAX_DEATHS else "resume"


class Life(msgspec.Struct, frozen=True):
    """A run's state as its subject tells. last_seq: of the last message there, which a guard expects."""

    run: RunLife | None
    last_seq: int


async def read_life(bus: Bus, run_id: str) -> Life:
    """Waits for NATS as long as it takes."""
    while True:
        try:
            stored = await bus.read(subjects.run(run_id))
        except BusUnavailable:
            continue
        life: RunLife | None = None
        last = 0
        for seq, event in stored:
            last = seq
            if not isinstance(event, UnknownEvent):
                life = run_fold.evolve(life, event, seq)
        return Life(life, last)


async def has_completed(bus: Bus, run_id: str, after: int) -> bool:
    """Whether a task of the run has ended after that sequence. Reads no more of its events than it needs to."""
    while True:
        try:
            page = await bus.read_raw(subjects.task(run_id), after=after, limit=PAGE)
        except BusUnavailable:
            continue
        if any(isinstance(codec.decode(data), FINAL_TASK_EVENTS) for _, _, data in page):
            return True
        if len(page) < PAGE:
            return False
        after = page[-1][0]


class Recovery:
    """What a supervisor says about a run in the place of an executor that no longer can."""

    def __init__(self, bus: Bus, *, client_id: str, client_name: str) -> None:
        self._bus = bus
        self._client_id = client_id
        self._client_name = client_name

    async def after_death(self, held: Held, *, guilty: bool) -> Held | None:
        """The run under its next epoch, or None when it is no longer this worker's.

        guilty: the executor died by itself, so any of its runs may be the cause. A run that is given back stays
        suspect in `held`.
        """
        run_id = held.hand_over.run_id
        deaths = held.deaths
        if guilty:
            goes_on = deaths == 0 or await has_completed(self._bus, run_id, held.counted_seq)
            deaths = 1 if goes_on else deaths + 1
        while True:
            life = await read_life(self._bus, run_id)
            verdict = judge(life.run, held, self._client_id, deaths=deaths)
            if verdict == "drop":
                return None
            if verdict == "cancelled":
                if await self._say(run_id, self._cancelled(held), life.last_seq) is not None:
                    return None
            elif verdict == "give_back":
                reason = f"its executor died {deaths} times in a row without a newly completed task"
                lost = await self._say(run_id, self._lost(held, reason), life.last_seq)
                if lost is not None:
                    held.deaths, held.counted_seq = MAX_DEATHS - 1, lost
                    return None
            else:
                claim = await self._next_epoch(held, life.last_seq)
                if claim is not None:
                    return msgspec.structs.replace(
                        held,
                        epoch=held.epoch + 1,
                        claim_seq=claim,
                        replay=True,
                        deaths=deaths,
                        counted_seq=claim if guilty else held.counted_seq,
                    )

    async def give_back(self, held: Held, reason: str) -> None:
        """Say that the run is lost, if it is still this claim's."""
        while True:
            life = await read_life(self._bus, held.hand_over.run_id)
            verdict = judge(life.run, held, self._client_id, deaths=0)
            if verdict == "drop":
                return
            event = self._cancelled(held) if verdict == "cancelled" else self._lost(held, reason)
            if await self._say(held.hand_over.run_id, event, life.last_seq) is not None:
                return

    async def _next_epoch(self, held: Held, last_seq: int) -> int | None:
        event_id = ids.uuid7()
        while True:
            try:
                claim = await start_epoch(
                    self._bus,
                    run_id=held.hand_over.run_id,
                    epoch=held.epoch + 1,
                    after_seq=last_seq,
                    client_id=self._client_id,
                    client_name=self._client_name,
                    flow_version=held.flow_version,
                    event_id=event_id,
                )
            except BusUnavailable:
                await asyncio.sleep(0.1)
            else:
                return claim.seq if claim else None

    async def _say(self, run_id: str, event: Event, last_seq: int) -> int | None:
        """Its sequence; None when the run's life has moved on from `last_seq`."""
        subject = subjects.run(run_id)
        while True:
            try:
                return await append(self._bus, subject, event, Guard(subject, last_seq))
            except Conflict:
                return None
            except BusUnavailable:
                await asyncio.sleep(0.1)

    def _cancelled(self, held: Held) -> RunCancelled:
        return RunCancelled(
            id=ids.uuid7(),
            at=utc_now(),
            source=f"worker:{self._client_id}",
            run_id=held.hand_over.run_id,
            epoch=held.epoch,
            reason="its executor was ended",
        )

    def _lost(self, held: Held, reason: str) -> RunLost:
        return RunLost(
            id=ids.uuid7(),
            at=utc_now(),
            source=f"worker:{self._client_id}",
            run_id=held.hand_over.run_id,
            epoch=held.epoch,
            client_id=self._client_id,
            reason=reason,
        )
