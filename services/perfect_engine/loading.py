"""What the engine reads when it starts: the runs that have not ended, and how often one was lost in a row."""

import asyncio

import msgspec

from perfect_bus import Bus
from perfect_engine.board import Board
from perfect_schemas import codec, subjects
from perfect_schemas.events import (
    FINAL_TASK_EVENTS,
    RunArchived,
    RunCancelled,
    RunCompleted,
    RunCrashed,
    RunFailed,
    RunRestored,
    RunScheduled,
)
from perfect_schemas.events.run import RunLost, RunRetried, RunSuspended
from perfect_schemas.events.task import TaskAdopted

AT_ONCE = 64
ENDS = (RunCompleted, RunFailed, RunCancelled, RunCrashed, RunArchived, RunRestored)
FINAL = frozenset(kind.__struct_config__.tag for kind in ENDS)
FIRST = RunScheduled.__struct_config__.tag
HEAD = b'{"type":"'


class _Type(msgspec.Struct):
    type: str = ""


_type = msgspec.json.Decoder(_Type).decode


async def load(bus: Bus, board: Board) -> int:
    """Fold every run whose last event is not final. Returns the EVENTS sequence to go on from."""
    last, seq = await bus.last_of_each(subjects.ALL_RUNS)
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(run_id: str) -> None:
        async with limit:
            run = board.run(run_id)
            run.catch_up(await bus.read(run.subject, after=run.seq))

    unread = []
    for subject, (at, data) in last.items():
        kind = _kind(data)
        if kind in FINAL:
            continue
        run_id = subject.rpartition(".")[2]
        if kind == FIRST:  # there is nothing before it to read
            board.run(run_id).apply(codec.decode(data), at)
        else:
            unread.append(run_id)
    await asyncio.gather(*map(one, unread))
    return seq


async def losses_in_a_row(bus: Bus, run_id: str, enough: int) -> int:
    """How often in a row the run was lost without a newly completed task; 0 when its last event is no loss.

    Counts from the last retry by a person, or the last place where the run waited: it had got that far. The tasks are read only when there are `enough` losses at all.
    """
    lost: list[int] = []
    last_is_loss = False
    for seq, event in await bus.read(subjects.run(run_id)):
        last_is_loss = isinstance(event, RunLost)
        if last_is_loss:
            lost.append(seq)
        elif isinstance(event, RunRetried | RunSuspended):
            lost.clear()
    if not last_is_loss or len(lost) < enough:
        return len(lost) if last_is_loss else 0
    before = lost[-enough - 1] if len(lost) > enough else 0
    tasks = await bus.read(subjects.task(run_id), after=before, until=lost[-1])
    final = tuple(kind for kind in FINAL_TASK_EVENTS if kind is not TaskAdopted)
    return 1 if any(isinstance(event, final) for _, event in tasks) else enough


def _kind(data: bytes) -> str:
    """The type stands first in what we write: of 100,000 events, most of which are final, nothing more is decoded."""
    if data.startswith(HEAD):
        return data[len(HEAD) : data.find(b'"', len(HEAD))].decode(errors="replace")
    try:
        return _type(data).type
    except msgspec.DecodeError:
        return ""
