"""How a run begins: `run.scheduled`, and if it is to go at once `run.queued` and the hand-over behind it, in one write.

One after the other, a run that is triggered would wait for three answers before a worker hears of it. Sent together, a worker
claims it while the engine still waits for the first. While other runs write much, something comes between the two events
again and again: then they are appended one after the other, as they are for a run that is due later. A `run.queued` that
was refused is appended again under the same id, which the hand-over names.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from perfect_bus import Conflict, Guard
from perfect_bus.append import append_pair
from perfect_engine import run as rules
from perfect_runtime.decider import handle
from perfect_schemas.envelope import Event
from perfect_schemas.errors import PerfectError
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
        stamp = process.stamp()  # of its run.queued, also if that has to be appended again
        is_quiet = time.monotonic() >= self._not_before
        queued = [*rules.queue(life, stamp)] if is_quiet else []
        pending = fold.evolve(life, queued[0], 0) if queued else None
        if pending is None:
            await handle(process.bus, run, decide)
            return
        self._under_way.add(run.id)
        try:
            seq, behind = await append_pair(
                process.bus,
                run.subject,
                events[0],
                queued[0],
                Guard(run.subject, run.seq),
                also=lambda: process.dispatch.ahead(pending, queued[0].id),
            )
        except Conflict as conflict:
            process.board.drop_ahead(run.id)
            run.catch_up(conflict.events)
            await handle(process.bus, run, decide)
        except PerfectError:
            process.board.drop_ahead(run.id)
            raise
        else:
            run.catch_up([(seq, events[0])] if behind is None else [(seq, events[0]), (behind, queued[0])])
            if behind is None:
                self._not_before = time.monotonic() + BUSY_S
        finally:
            self._under_way.discard(run.id)
            if run.state is not None and rules.needs_queueing(run.state, process.now()):
                process.decide_soon(run, lambda life: rules.queue(life, stamp), "queue")
