"""Handing over the runs that `placement.admit` lets go, at every change that can let something go.

A run is offered to a worker that has room; one that does not take offers, or is not there any more, or is full after all, finds it
on WORK a moment later, where it waits for whoever takes it.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any

import msgspec
from nats.errors import Error as NatsError

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
OFFER_S = 0.25  # for a worker to claim what it was offered


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
        self._spawn = context.spawn
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
        self._offers: set[asyncio.TimerHandle] = set()

    def stop(self) -> None:
        self._ended = True
        if self._recheck is not None:
            self._recheck.cancel()
        for timer in self._offers:
            timer.cancel()

    def client_changed(self, client: Presence) -> None:
        self._workers.pop(client.client_id, None)
        if client.slots > 0 and not client.draining:
            self._workers[client.client_id] = Worker(
                client_id=client.client_id,
                slots=client.slots,
                held=0,
                flows=frozenset(client.flows),
                queues=frozenset(client.queues),
                takes_offers=client.takes_offers,
            )
        self.soon()

    def client_gone(self, client_id: str) -> None:
        self._workers.pop(client_id, None)

    def workers(self) -> list[Worker]:
        """Those that take work, with what they hold now."""
        taken = self._board.slots_taken
        return [
            msgspec.structs.replace(one, held=taken[one.client_id]) if one.client_id in taken else one
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
        offers = []
        for lane, waiting in admitted:
            self._turn += 1
            self._served[lane] = self._turn
            client_id = placement.offered_to(lane, self.workers(), board.offered)
            run = board.hand(lane, waiting, client_id or "")
            if run is None or run.state is None:
                continue
            hand_over = rules.hand_over(run.state)
            if client_id is None:
                self._publish(run.state, run.queued_id, hand_over)
            else:
                offers.append(self._offer(client_id, run.state, run.queued_id, hand_over))
        if offers:
            self._spawn(_all(offers), "offer runs")
        self._watch()

    async def ahead(self, life: RunLife, queued_id: str) -> None:
        """Hand over a run whose `run.queued` has just been sent, if it would go at once: nobody waits before it, and a
        worker has room. life: as it will be then.
        """
        board = self._board
        if self._ended or board.pending or life.deployment is not None:
            return
        lane, waiting, workers = lane_of(life), waiting_of(life), self.workers()
        if not placement.admit({lane: [waiting]}, workers, board.unanswered, self._served, self._left()):
            return
        self._turn += 1
        self._served[lane] = self._turn
        client_id = placement.offered_to(lane, workers, board.offered)
        board.hand_ahead(life.id, lane, queued_id, client_id or "")
        hand_over = msgspec.structs.replace(rules.hand_over(life), queued_id=queued_id)
        if client_id is None:
            self._publish(life, queued_id, hand_over)
            await self._bus.outbox.hurry()
        else:
            await self._offer(client_id, life, queued_id, hand_over)
        self._watch()

    async def _offer(self, client_id: str, life: RunLife, queued_id: str, hand_over: HandOver) -> None:
        """To that worker, past WORK. It may not hear of it, or not have room any more: who has not claimed it soon has not."""

        def not_taken() -> None:
            self._offers.discard(timer)
            if self._board.withdraw(life.id, queued_id):
                self._publish(life, queued_id, hand_over)

        timer = asyncio.get_running_loop().call_later(OFFER_S, not_taken)
        self._offers.add(timer)
        with contextlib.suppress(NatsError):
            await self._bus.nc.publish(subjects.control_run(client_id), encode(hand_over))

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


async def _all(offers: Iterable[Coroutine[Any, Any, None]]) -> None:
    for offer in offers:
        await offer
