"""The moments of a run: when something was said of it, and what kind of thing. A slider stops at each."""

from typing import Any

import msgspec
from litestar import Response, get

from perfect_gateway.parts import Parts
from perfect_gateway.past import Past, PastReader
from perfect_gateway.wire import AnyRequest, json, run_id


class MomentsView(msgspec.Struct, frozen=True, kw_only=True):
    """A column a list, in stream order. step: how far the sequence on EVENTS lies behind the one before (the first: from
    0), which packs to a tenth. at: ms since 1970, UTC. kind: place in `kinds`. task: place in
    `tasks` (task keys), -1 for what is said of the run itself.
    """

    step: list[int]
    at: list[int]
    kind: list[int]
    task: list[int]
    kinds: list[str]
    tasks: list[str]


def moments_of(past: Past) -> MomentsView:
    kinds: dict[str, int] = {}
    tasks: dict[str, int] = {}
    step, at, kind, task = [], [], [], []
    last = 0
    for seq, event in past.events:
        step.append(seq - last)
        last = seq
        at.append(int(event.at.timestamp() * 1000))
        kind.append(kinds.setdefault(event.type, len(kinds)))
        key = event.task_key
        task.append(-1 if key is None else tasks.setdefault(key, len(tasks)))
    return MomentsView(step=step, at=at, kind=kind, task=task, kinds=list(kinds), tasks=list(tasks))


def routes(parts: Parts) -> list[Any]:
    past = PastReader(parts)

    @get("/api/engine/runs/{run_id:str}/moments", opt={"answers": {200: MomentsView}})
    async def moments(request: AnyRequest) -> Response[bytes]:
        """Every moment of the run's life, in order; the page of the run shows it as it was at any: `?at=<seq>`."""
        return json(moments_of(await past.read(run_id(request))))

    return [moments]
