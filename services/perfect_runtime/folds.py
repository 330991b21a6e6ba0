"""The definitions of one kind, each folded from its subject on DEFS and kept up to date."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic

from perfect_bus import Bus
from perfect_runtime.decider import Aggregate, State, handle, read
from perfect_schemas import codec
from perfect_schemas.envelope import Event

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.follow import Following

STREAM = "DEFS"


class Folds(Generic[State]):
    """`await start()`, then `get` and `all`, as far as has been heard.

    subject(id): that one's; subject("*"): of all. changed(state): called for each one at the start and for each change.
    """

    def __init__(
        self,
        bus: Bus,
        subject: Callable[[str], str],
        evolve: Callable[[State | None, Event, int], State | None],
        changed: Callable[[State], None] = lambda _: None,
    ) -> None:
        self._bus = bus
        self._subject = subject
        self._evolve = evolve
        self._changed = changed
        self._folds: dict[str, Aggregate[State]] = {}
        self._following: Following | None = None

    async def start(self) -> None:
        seq = 0
        for seq, subject, data in await self._bus.read_raw(self._subject("*"), stream=STREAM):
            self._apply(subject, data, seq)
        for state in self.all():
            self._changed(state)

        async def heard(msg: "Msg", at: int) -> None:
            state = self._apply(msg.subject, msg.data, at)
            if state is not None:
                self._changed(state)

        self._following = await self._bus.follow(STREAM, heard, after=seq, subject=self._subject("*"))

    async def stop(self) -> None:
        if self._following is not None:
            await self._following.unsubscribe()

    def __len__(self) -> int:
        return len(self.all())

    def all(self) -> list[State]:
        return [one.state for one in self._folds.values() if one.state is not None]

    def get(self, key: str) -> State | None:
        found = self._folds.get(key)
        return found.state if found is not None else None

    async def find(self, key: str) -> State | None:
        """As the stream has it now: what was said a moment ago counts."""
        return (await self._read(key)).state

    async def handle(
        self, key: str, decide: Callable[[State | None], Sequence[Event]]
    ) -> tuple[State | None, list[Event]]:
        """`decider.handle` over what the stream has now: the state after it, and what was stored."""
        aggregate = await self._read(key)
        stored = await handle(self._bus, aggregate, decide)
        self._keep(key, aggregate)
        return aggregate.state, [event for _, event in stored]

    async def _read(self, key: str) -> Aggregate[State]:
        aggregate = self._known(key)
        before = aggregate.state
        await read(self._bus, aggregate, stream=STREAM)
        self._keep(key, aggregate)
        if aggregate.state is not None and aggregate.state is not before:
            self._changed(aggregate.state)
        return aggregate

    def _known(self, key: str) -> Aggregate[State]:
        return self._folds.get(key) or Aggregate(self._subject(key), self._evolve)

    def _keep(self, key: str, aggregate: Aggregate[State]) -> None:
        """Of which nothing was ever said is not kept: asking for names costs no memory."""
        if aggregate.seq:
            self._folds.setdefault(key, aggregate)

    def _apply(self, subject: str, data: bytes, seq: int) -> State | None:
        key = subject.rpartition(".")[2]
        aggregate = self._known(key)
        aggregate.apply(codec.decode(data), seq)
        self._keep(key, aggregate)
        return aggregate.state
