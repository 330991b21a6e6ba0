"""Handing runs over: publishes on WORK what `placement.admit` lets go, at every change that can let something go."""

import asyncio
import time
from collections.abc import Callable, Mapping

import msgspec

from perfect_bus.outbox import Ack
from perfect_engine import placement
from perfect_engine import run as rules
from perfect_engine.board import Board, lane_of, waiting_of
from perfect_engine.placement import DeploymentRoom, Lane, Worker
from perfect_runtime.service import Context
from perfect_schemas import subjects
from perfect_schemas.codec import encode
from perfect_schemas.commands import HandOver, Presence
from perfect_schemas.errors import BusUnavailable
from perfect_schemas.folds.run import RunLife

AGAIN_S = 30.0
REFUSED_S = 1.0


class Dispatch:
    """queue_again(run id, queued_seq): called for a hand-over that nobody takes although somebody has room.
    left(): flow id → how many more of its runs may go, for flows with a limit. room(): the same for
    deployments with one.
    """

    def __init__(
        self,
        context: Context,
        board: Board,
        queue_again: Callable[[str, int], None],
        left: Callable[[], Mapping[str, int]],
        room: Callable[[], DeploymentRoom | None] = lambda: None,
    ) -> None:
        self._bus = context.bus
        self._log = context.log
        self._board = board
        self._queue_again = queue_again
        self._left = left
        self.room = room
        self._workers: dict[str, Worker] = {}
        self._served: dict[Lane, int] = {}
        self._turn = 0
        self._is_due = False
        self._ended = False
        self._recheck: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        self._ended = True
        if self._recheck is not None:
            self._recheck.cancel()

    def client_changed(self, client: Presence) -> None:
        self._workers.pop(client.client_id, None)
        if client.slots > 0 and not client.draining:
            self._workers[client.client_id] = Worker(
                client_id=client.client_id,
                slots=client.slots,
                held=0,
                flows=frozenset(client.flows),
                queues=frozenset(client.queues),
            )
        self.soon()

    def client_gone(self, client_id: str) -> None:
        self._workers.pop(client_id, None)

    def workers(self) -> list[Worker]:
        """Those that take work, with what they hold now."""
        taken = self._board.slots_taken
        return [
            Worker(one.client_id, one.slots, taken.get(one.client_id, 0), one.flows, one.queues)
            for one in self._workers.values()
        ]

    def serves(self, life: RunLife) -> bool:
        """Whether a client that is there could take the run."""
        return any(worker.serves(lane_of(life)) for worker in self._workers.values())

    def soon(self) -> None:
        """Admit once, in the next turn of the event loop, however often this is called until then."""
        if not self._is_due and not self._ended:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._admit)

    def _admit(self) -> None:
        self._is_due = False
        board = self._board
        if not board.pending or not self._workers:
            return
        admitted = placement.admit(
            board.pending, self.workers(), board.unanswered, self._served, self._left(), self.room()
        )
        for lane, waiting in admitted:
            self._turn += 1
            self._served[lane] = self._turn
            run = board.hand(lane, waiting)
            if run is not None and run.state is not None:
                self._publish(run.state, run.queued_id, rules.hand_over(run.state))
        self._watch()

    def ahead(self, life: RunLife, queued_id: str) -> bool:
        """Hand over a run whose `run.queued` has just been put into the outbox, if it would go at once: nobody waits
        before it, and a worker has room. life: as it will be then. Returns whether it is done.
        """
        board = self._board
        if self._ended or board.pending or life.deployment is not None:
            return False
        lane, waiting = lane_of(life), waiting_of(life)
        if not placement.admit(
            {lane: [waiting]}, self.workers(), board.unanswered, self._served, self._left()
        ):
            return False
        self._turn += 1
        self._served[lane] = self._turn
        board.hand_ahead(life.id, lane, queued_id)
        self._publish(life, queued_id, msgspec.structs.replace(rules.hand_over(life), queued_id=queued_id))
        self._watch()
        return True

    def _publish(self, life: RunLife, queued_id: str, hand_over: HandOver) -> None:
        def done(answer: Ack | BusUnavailable) -> None:
            if self._ended or (isinstance(answer, Ack) and answer.error is None):
                return
            self._log.error("hand-over refused", run=life.id, error=str(answer))
            self._board.take_back(life.id, queued_id)
            asyncio.get_running_loop().call_later(REFUSED_S, self.soon)

        self._bus.outbox.put(
            subjects.work(life.queue, life.flow_id), encode(hand_over), f"{life.id}:{queued_id}", done=done
        )

    def _watch(self) -> None:
        if self._recheck is None and (self._board.handed or self._board.ahead):
            self._recheck = asyncio.get_running_loop().call_later(AGAIN_S, self._check_handed)

    def _check_handed(self) -> None:
        """A hand-over that nobody takes for long although somebody has room was lost."""
        self._recheck = None
        free = [worker for worker in self.workers() if worker.held < worker.slots]
        before = time.monotonic() - AGAIN_S
        for run_id, handed in list(self._board.handed.items()):
            if handed.since <= before and any(worker.serves(handed.lane) for worker in free):
                self._log.warning("hand-over was not taken, queued again", run=run_id)
                self._queue_again(run_id, handed.queued_seq)
        self._watch()
