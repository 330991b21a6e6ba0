"""A run folded from its own subjects, for the page of a run that the read model does not know yet."""

from perfect_gateway.folded import Seen, lines_of, read_history, run_of
from perfect_gateway.parts import Parts
from perfect_schemas import codec, queries, subjects
from perfect_schemas.errors import NotFound
from perfect_schemas.events import LogBatch
from perfect_schemas.views import LogView, RunView


async def folded_run(parts: Parts, run_id: str) -> tuple[Seen, RunView | None]:
    history = await read_history(parts.bus, run_id, results=True)
    if history.run is None:
        return history, None
    return history, run_of(history, await parts.flows.facts(history.run.flow_id))


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


async def require(parts: Parts, run_id: str) -> None:
    """Raises NotFound. A run that ended long ago may be in the read model only."""
    if not await parts.bus.read_raw(subjects.run(run_id), limit=1):
        await parts.asker.query("run", queries.RunDetail(run_id=run_id))
