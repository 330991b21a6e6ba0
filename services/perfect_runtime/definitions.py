"""The flows that are registered, folded from DEFS and kept up to date: for every service that needs them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from perfect_bus import Bus
from perfect_runtime.decider import Aggregate, read
from perfect_schemas import codec, ids, subjects
from perfect_schemas.folds import flow as fold
from perfect_schemas.folds.flow import Flow

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from perfect_bus.follow import Following

STREAM = "DEFS"


class Flows:
    """`await start()`, then `get`. `changed(flow)` is called for each flow at the start and for each change."""

    def __init__(self, bus: Bus, changed: Callable[[Flow], None] = lambda _: None) -> None:
        self._bus = bus
        self._changed = changed
        self._flows: dict[str, Aggregate[Flow]] = {}
        self._subscription: Following | None = None

    async def start(self) -> None:
        seq = 0
        for seq, subject, data in await self._bus.read_raw(subjects.ALL_FLOWS, stream=STREAM):
            self._apply(subject, data, seq)
        for aggregate in self._flows.values():
            if aggregate.state is not None:
                self._changed(aggregate.state)

        async def heard(msg: "Msg", at: int) -> None:
            aggregate = self._apply(msg.subject, msg.data, at)
            if aggregate.state is not None:
                self._changed(aggregate.state)

        self._subscription = await self._bus.follow(STREAM, heard, after=seq, subject=subjects.ALL_FLOWS)

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    def aggregate(self, flow_id: str) -> Aggregate[Flow]:
        """The flow's fold, to decide over; a new, empty one for a flow that is not known."""
        found = self._flows.get(flow_id)
        if found is None:
            found = self._flows[flow_id] = Aggregate(subjects.flow(flow_id), fold.evolve)
        return found

    def get(self, flow: str) -> Flow | None:
        """By id or by name; hidden ones too. As far as has been heard: see `find`."""
        found = self._flows.get(flow) or self._flows.get(ids.flow_id(flow))
        return found.state if found is not None else None

    def all(self) -> list[Flow]:
        """Hidden ones too."""
        return [one.state for one in self._flows.values() if one.state is not None]

    async def find(self, flow: str) -> Flow | None:
        """By id or by name, as the stream has it now: for what was registered a moment ago."""
        aggregate = self.aggregate(flow if ids.is_id(flow) else ids.flow_id(flow))
        before = aggregate.state
        await read(self._bus, aggregate, stream=STREAM)
        if aggregate.state is None:
            self._flows.pop(aggregate.subject.rpartition(".")[2], None)
        elif aggregate.state is not before:
            self._changed(aggregate.state)
        return aggregate.state

    def __len__(self) -> int:
        return sum(one.state is not None for one in self._flows.values())

    def _apply(self, subject: str, data: bytes, seq: int) -> Aggregate[Flow]:
        aggregate = self.aggregate(subject.rpartition(".")[2])
        aggregate.apply(codec.decode(data), seq)
        return aggregate
