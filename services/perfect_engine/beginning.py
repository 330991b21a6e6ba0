"""How a run begins: `run.scheduled`, and if it is to go at once `run.queued` behind it, in one round trip.

The hand-over needs the sequence of `run.queued`, so a run that is triggered would wait for two answers of the stream, one
after the other. While other runs write much, something comes between the two again and again: then they are appended
one after the other, as they are for a run that is due later.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from perfect_bus import Conflict, Guard
from perfect_bus.append import append_pair
from perfect_engine import run as rules
from perfect_runtime.decider import handle
from perfect_schemas.envelope import Event
from perfect_schemas.folds import run as fold
from perfect_schemas.folds.run import RunLife

if TYPE_CHECKING:
    from perfect_engine.board import Run
    from perfect_engine.process import Process

BUSY_S = 0.05  # for so long after something came between, the stream is taken for busy


class Beginnings:
    def __init__(self, process: "Process") -> None:
        self._process = process
        self._under_way: set[str] = set()
        self._not_before = 0.0

    def queues(self, run_id: str) -> bool:
        """Whether its `run.queued` is on its way with its `run.scheduled`."""
        return run_id in self._under_way

    async def schedule(self, run: "Run", decide: Callable[[RunLife | None], Sequence[Event]]) -> None:
        """decide: of `run.scheduled`. Raises what `handle` raises."""
        process = self._process
        events = decide(run.state)
        life = fold.evolve(run.state, events[0], 0) if len(events) == 1 and run.state is None else None
        queued = rules.queue(life, process.stamp()) if time.monotonic() >= self._not_before else ()
        if not queued:
            await handle(process.bus, run, decide)
            return
        self._under_way.add(run.id)
        try:
            seq, behind = await append_pair(
                process.bus, run.subject, events[0], queued[0], Guard(run.subject, run.seq)
            )
        except Conflict as conflict:
            run.catch_up(conflict.events)
            await handle(process.bus, run, decide)
        else:
            run.catch_up([(seq, events[0])] if behind is None else [(seq, events[0]), (behind, queued[0])])
            if behind is None:
                self._not_before = time.monotonic() + BUSY_S
        finally:
            self._under_way.discard(run.id)
            if run.state is not None and rules.needs_queueing(run.state, process.stamp().now):
                process.decide_soon(run, lambda life: rules.queue(life, process.stamp()), "queue")
