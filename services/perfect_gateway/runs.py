"""A run as it is now: from the read model, or from its own subjects while the read model does not know it yet.

The functions that read the streams give everything at once: what the read model does not know is young.
"""

import msgspec

from perfect_bus import Bus
from perfect_gateway.folded import lines_of, read_history, run_of, task_of
from perfect_gateway.parts import Parts
from perfect_schemas import codec, queries, subjects
from perfect_schemas.commands import Reply
from perfect_schemas.errors import NotFound
from perfect_schemas.events import LogBatch
from perfect_schemas.folds.history import History
from perfect_schemas.views import EventView, LogView, RunView, TaskRunView


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


async def streamed_tasks(parts: Parts, run_id: str) -> list[TaskRunView]:
    """Raises NotFound."""
    history, view = await folded_run(parts, run_id)
    if view is None:
        raise no_run(run_id)
    facts = await parts.flows.facts(view.flow_id)
    return [task_of(task, facts) for task in history.tasks.values()]


async def streamed_events(parts: Parts, run_id: str) -> list[EventView]:
    """Raises NotFound."""
    found = await parts.bus.read_raw(subjects.run(run_id))
    if not found:
        raise no_run(run_id)
    found += await parts.bus.read_raw(subjects.task(run_id))
    return [EventView(seq=seq, event=msgspec.Raw(data)) for seq, _, data in sorted(found)]


async def streamed_lines(parts: Parts, run_id: str) -> tuple[list[LogView], int]:
    """All lines that the stream holds of the run, and the LOGS sequence of the last."""
    batches = await parts.bus.read_raw(subjects.log(run_id), stream="LOGS")
    lines: list[LogView] = []
    for seq, _, data in batches:
        event = codec.decode(data)
        if isinstance(event, LogBatch):
            lines += lines_of(seq, event)
    return lines, batches[-1][0] if batches else 0


def no_run(run_id: str) -> NotFound:
    return NotFound(f"there is no run {run_id!r}")


async def exists(bus: Bus, run_id: str) -> bool:
    """Whether the bus knows the run. One that ended long ago may be in the read model only."""
    last, _ = await bus.last_of_each(subjects.run(run_id))
    return bool(last)


async def require(parts: Parts, run_id: str) -> None:
    """Raises NotFound."""
    if not await exists(parts.bus, run_id):
        await parts.asker.query("run", queries.RunDetail(run_id=run_id))
