"""Read, fold, decide, append with the expected sequence, again on conflict: how every decision gets onto a stream."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from perfect_bus import Bus, Conflict, Guard, append
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.errors import Failed

State = TypeVar("State")
ATTEMPTS = 20


class Aggregate(Generic[State]):
    """The fold of one subject: `state` as of the event at `seq`, the last one on the subject as far as is known."""

    __slots__ = ("_evolve", "seq", "state", "subject")

    def __init__(
        self,
        subject: str,
        evolve: Callable[[State | None, Event, int], State | None],
        state: State | None = None,
        seq: int = 0,
    ) -> None:
        self.subject = subject
        self.state = state
        self.seq = seq
        self._evolve = evolve

    def apply(self, event: Event | UnknownEvent, seq: int) -> None:
        """Fold one event in; what is known already changes nothing, so an event may come by several ways."""
        if seq <= self.seq:
            return
        self.seq = seq
        if not isinstance(event, UnknownEvent):
            self.state = self._evolve(self.state, event, seq)


async def read(bus: Bus, aggregate: Aggregate[State], *, stream: str = "EVENTS") -> Aggregate[State]:
    """Fold what the subject holds after the aggregate's sequence."""
    for seq, event in await bus.read(aggregate.subject, after=aggregate.seq, stream=stream):
        aggregate.apply(event, seq)
    return aggregate


async def handle(
    bus: Bus,
    aggregate: Aggregate[State],
    decide: Callable[[State | None], Sequence[Event]],
) -> list[tuple[int, Event]]:
    """Append what `decide` returns for the aggregate's state and fold it in. Returns what was stored.

    When the subject has moved on, what came is folded in and `decide` is asked again, so it must return `()` for
    what is done already. Raises what `decide` raises, TooLarge, BusUnavailable, or Failed after 20 conflicts.
    """
    stored: list[tuple[int, Event]] = []
    for _ in range(ATTEMPTS):
        try:
            for event in decide(aggregate.state):
                seq = await append(bus, aggregate.subject, event, Guard(aggregate.subject, aggregate.seq))
                aggregate.apply(event, seq)
                stored.append((seq, event))
        except Conflict as conflict:
            for seq, event in conflict.events:
                aggregate.apply(event, seq)
        else:
            return stored
    raise Failed(f"{aggregate.subject} moved on {ATTEMPTS} times while one decision was being made")
