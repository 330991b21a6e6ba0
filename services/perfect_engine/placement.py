"""Which of the waiting runs go to a worker now: pure.

A lane is the runs of one flow on one queue. A run goes when its turn has come and a client that serves its lane has
room: what it holds, plus what is handed over and not answered yet, is below its slots plus one (the one that is
already there when a slot comes free). Which client takes a hand-over is settled by the clients; here each one is
counted against the serving client with the most room, which is right up to which of two equals pulls first.

A flow may have a limit of its own: then only so many of its runs go as still may.

Turns: higher priority first; among lanes of equal priority the one that was served longest ago; within a lane the
run that was queued first.
"""

import heapq
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

AHEAD = 1  # hand-overs a client may have waiting beyond its slots


class DeploymentRoom(Protocol):
    def is_full(self, run_id: str) -> bool:
        """Whether the run's deployment has as many runs under way as it may have."""
        raise NotImplementedError

    def take(self, run_id: str) -> None:
        """The run goes."""


Lane = tuple[str, str]
"""(queue, flow id)"""


class Waiting(msgspec.Struct, frozen=True, order=True):
    """A queued run. Orders by turn: priority (negated), then the sequence of its `run.queued`."""

    rank: int
    queued_seq: int
    run_id: str


class Worker(msgspec.Struct, frozen=True):
    """A client that takes work. held: runs that it has claimed and not ended. takes_offers: it can be told of a run itself."""

    client_id: str
    slots: int
    held: int
    flows: frozenset[str]
    queues: frozenset[str]
    takes_offers: bool = False

    def serves(self, lane: Lane) -> bool:
        return lane[0] in self.queues and lane[1] in self.flows


def admit(
    pending: Mapping[Lane, Iterable[Waiting]],
    workers: Iterable[Worker],
    unanswered: Mapping[Lane, int],
    served: Mapping[Lane, int],
    left: Mapping[str, int] | None = None,
    room_of: "DeploymentRoom | None" = None,
) -> list[tuple[Lane, Waiting]]:
    """The runs to hand over now, in order.

    pending: by lane, each in order of turn. unanswered: how many of a lane's runs are handed over and not claimed.
    served: lane → when it was last served (any ascending number). left: flow id → how many more of its runs may go, for
    flows with a limit. room_of: the same for deployments with a limit; what is full does not hold up its lane.
    """
    workers = list(workers)
    left = dict(left or {})
    if not pending or not workers:
        return []
    room = {worker.client_id: worker.slots + AHEAD - worker.held for worker in workers}
    serving: dict[Lane, list[str]] = {}
    for lane in {*pending, *unanswered}:
        serving[lane] = [worker.client_id for worker in workers if worker.serves(lane)]
    for lane, count in unanswered.items():
        for _ in range(count):
            if not _take(room, serving[lane], even_if_full=True):
                break
    heads: list[tuple[int, int, int, Lane]] = []
    queues = {lane: iter(waiting) for lane, waiting in pending.items() if serving[lane]}
    current: dict[Lane, Waiting] = {}
    turn = max(served.values(), default=0) + 1
    for lane, waiting in queues.items():
        _push(heads, current, lane, next(waiting, None), served.get(lane, 0))
    admitted: list[tuple[Lane, Waiting]] = []
    while heads:
        _, last_turn, _, lane = heapq.heappop(heads)
        flow_id = lane[1]
        if room_of is not None and room_of.is_full(current[lane].run_id):
            _push(heads, current, lane, next(queues[lane], None), last_turn)
            continue
        if flow_id in left and left[flow_id] <= 0:
            continue
        if not _take(room, serving[lane]):
            continue  # full for this lane: it is out of this round
        if flow_id in left:
            left[flow_id] -= 1
        if room_of is not None:
            room_of.take(current[lane].run_id)
        admitted.append((lane, current[lane]))
        _push(heads, current, lane, next(queues[lane], None), turn)
        turn += 1
    return admitted


def offered_to(lane: Lane, workers: Iterable[Worker], offered: Mapping[str, int]) -> str | None:
    """The client to offer a run of the lane to: of those that take offers, the one with the most room. None: it has to go to
    whoever takes it. offered: client id → runs that were offered to it and are not claimed.
    """
    best, most = None, 0
    for worker in workers:
        if worker.takes_offers and worker.serves(lane):
            room = worker.slots + AHEAD - worker.held - offered.get(worker.client_id, 0)
            if room > most:
                best, most = worker.client_id, room
    return best


def _push(
    heads: list[tuple[int, int, int, Lane]],
    current: dict[Lane, Waiting],
    lane: Lane,
    waiting: Waiting | None,
    served: int,
) -> None:
    if waiting is not None:
        current[lane] = waiting
        heapq.heappush(heads, (waiting.rank, served, waiting.queued_seq, lane))


def _take(room: dict[str, int], serving: list[str], *, even_if_full: bool = False) -> bool:
    """Count one hand-over against the serving client with the most room."""
    if not serving:
        return False
    best = max(serving, key=room.__getitem__)
    if room[best] <= 0 and not even_if_full:
        return False
    room[best] -= 1
    return True
