"""The flows that are registered, folded from DEFS and kept up to date: for every service that needs them."""

from collections.abc import Callable

from perfect_bus import Bus
from perfect_runtime.folds import Folds
from perfect_schemas import ids, subjects
from perfect_schemas.folds import flow as fold
from perfect_schemas.folds.flow import Flow


class Flows(Folds[Flow]):
    """`await start()`, then `get`. `changed(flow)` is called for each flow at the start and for each change."""

    def __init__(self, bus: Bus, changed: Callable[[Flow], None] = lambda _: None) -> None:
        super().__init__(bus, subjects.flow, fold.evolve, changed)

    def get(self, key: str) -> Flow | None:
        """By id or by name; hidden ones too. As far as has been heard: see `find`."""
        return super().get(key) or super().get(ids.flow_id(key))

    async def find(self, key: str) -> Flow | None:
        """By id or by name, as the stream has it now: for what was registered a moment ago."""
        return await super().find(key if ids.is_id(key) else ids.flow_id(key))
