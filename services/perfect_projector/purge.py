"""Which runs may leave the bus: pure.

A run's events leave it when the run ended long enough ago, the DuckDB file holds them for good, and nobody who lives
needs them: a run that it called or that called it, directly or not, or a fork that takes its first results from it.

What failed can be tried again, and whoever decides that reads the run's events. Hence the fence `run.archived`, which
is appended first, guarded on the run's last event: from then on nobody builds on what stands before it. A completed
run needs none, because nothing more can happen to it.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import NamedTuple


class Ended(NamedTuple):
    """A run that has ended, as its row says it. ended_at: or was brought back, for whoever wanted it: a child run comes back
    before its parent is tried again, and nothing but its age keeps it until that is known.
    """

    run_id: str
    parent_run_id: str | None
    state: str
    ended_at: datetime
    last_seq: int
    archived: bool

    @property
    def is_fenced(self) -> bool:
        return self.archived or self.state == "COMPLETED"


class Parent(NamedTuple):
    parent_run_id: str | None
    is_final: bool


class Kin(NamedTuple):
    """callers: runs that called one that lives. origins: runs that a living fork comes from.
    parents: run id → what is known of it; of runs that called others.
    """

    callers: AbstractSet[str] = frozenset()
    origins: AbstractSet[str] = frozenset()
    parents: Mapping[str, Parent] = {}


class Choice(NamedTuple):
    """purge: their events may go. fence: they may once the fence stands. keep: they are due, but needed.
    rest: not due yet, in the order in which they ended.
    """

    purge: list[Ended]
    fence: list[Ended]
    keep: list[Ended]
    rest: list[Ended]


def choose(runs: Iterable[Ended], kin: Kin, *, now: datetime, after: timedelta) -> Choice:
    choice = Choice([], [], [], [])
    for run in runs:
        if run.ended_at + after > now and not run.archived:
            choice.rest.append(run)
        elif run.archived:
            choice.purge.append(run)  # decided already
        elif is_needed(run, kin):
            choice.keep.append(run)
        elif run.is_fenced:
            choice.purge.append(run)
        else:
            choice.fence.append(run)
    return choice


def is_needed(run: Ended, kin: Kin) -> bool:
    if run.run_id in kin.callers or run.run_id in kin.origins:
        return True
    seen = {run.run_id}
    parent_id = run.parent_run_id
    while parent_id is not None and parent_id not in seen:
        parent = kin.parents.get(parent_id)
        if parent is None:
            return False
        if not parent.is_final:
            return True
        seen.add(parent_id)
        parent_id = parent.parent_run_id
    return False


def is_due(run: Ended, *, now: datetime, after: timedelta) -> bool:
    """Whether it is looked at now: its time has come, or its worker's clock is wrong."""
    return run.archived or run.ended_at + after <= now or run.ended_at > now


def until_next(runs: Iterable[Ended], *, now: datetime, after: timedelta) -> tuple[list[Ended], Ended | None]:
    """The runs before the first one that is not due yet, and that one.

    A run that ended in the future by its worker's clock holds up nobody: it is among the first, and looked at again.
    """
    ready: list[Ended] = []
    for run in runs:
        if not is_due(run, now=now, after=after):
            return ready, run
        ready.append(run)
    return ready, None
