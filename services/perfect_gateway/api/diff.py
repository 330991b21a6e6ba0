"""Two runs compared."""

import asyncio
from typing import Any

from litestar import Response, get

from perfect_gateway.comparison import Comparison, compare
from perfect_gateway.gather import record, run_before
from perfect_gateway.parts import Parts
from perfect_gateway.record import RunRecord
from perfect_gateway.wire import AnyRequest, json, run_id
from perfect_schemas.errors import NotFound
from perfect_schemas.ids import is_id

PREVIOUS = "previous"


async def records(parts: Parts, request: AnyRequest) -> tuple[RunRecord, RunRecord]:
    """The two runs that the path names. Raises NotFound."""
    a, b = str(request.path_params["run_id"]), str(request.path_params["other_id"])
    if a != PREVIOUS:
        a = run_id(request)
    if not is_id(b):
        raise NotFound(f"there is no run {b!r}: a run's id is a UUID in its dashed lower-case form")
    theirs = await record(parts, b)
    return await record(parts, await run_before(parts, theirs.run) if a == PREVIOUS else a), theirs


def routes(parts: Parts) -> list[Any]:
    @get("/api/engine/runs/{run_id:str}/diff/{other_id:str}", opt={"answers": {200: Comparison}})
    async def diff(request: AnyRequest) -> Response[bytes]:
        """What is different in the second run, and which tasks the difference of the durations is due to. `previous`
        instead of the first id: the last run of the same flow before the second one that completed.
        """
        ours, theirs = await records(parts, request)
        return json(await asyncio.to_thread(compare, ours, theirs, parts.clock()))

    return [diff]
