"""A run as it is now: from the read model, or from its own subjects while the read model does not know it yet."""

import msgspec

from perfect_bus import Bus
from perfect_gateway.folded import read_history, run_of
from perfect_gateway.parts import Parts
from perfect_schemas import codec, queries, subjects
from perfect_schemas.commands import Reply
from perfect_schemas.errors import NotFound
from perfect_schemas.folds.history import History
from perfect_schemas.views import RunView


async def run_reply(parts: Parts, run_id: str) -> Reply:
    """The RunView, encoded, and the EVENTS sequence it is as of. Raises NotFound."""
    try:
        return await parts.asker.query("run", queries.RunDetail(run_id=run_id))
    except NotFound:
        history, view = await folded_run(parts, run_id)
        if view is None:
            raise
        return Reply(value=msgspec.Raw(codec.encode(view)), seq=history.seq)


async def folded_run(parts: Parts, run_id: str) -> tuple[History, RunView | None]:
    history = await read_history(parts.bus, run_id, results=True)
    if history.run is None:
        return history, None
    return history, run_of(history, await parts.flows.facts(history.run.flow_id))


async def exists(bus: Bus, run_id: str) -> bool:
    """Whether the bus knows the run. One that ended long ago may be in the read model only."""
    last, _ = await bus.last_of_each(subjects.run(run_id))
    return bool(last)


async def require(parts: Parts, run_id: str) -> None:
    """Raises NotFound."""
    if not await exists(parts.bus, run_id):
        await parts.asker.query("run", queries.RunDetail(run_id=run_id))
