"""The task runs of a run as columns, for whoever draws them all."""

import asyncio
from datetime import datetime
from typing import Any

import msgspec
from litestar import Response, get

from perfect_gateway.drawn import task_columns
from perfect_gateway.folded import read_history, task_of
from perfect_gateway.parts import Parts
from perfect_gateway.task_columns import TimelineView, columns, ended
from perfect_gateway.wire import AnyRequest, json, query, run_id
from perfect_schemas import queries
from perfect_schemas.errors import NotFound
from perfect_schemas.folds.history import History
from perfect_schemas.states import FINAL_RUN_STATES
from perfect_schemas.views import RunView, TaskRunView


class ChangedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """after: only what has changed since this EVENTS sequence, the `seq` of an answer before; while the run is live."""

    after: int = 0


async def timeline(parts: Parts, wanted: str, after: int = 0) -> TimelineView:
    """Raises NotFound. Of a run that is live from its own subjects, as of now; of any other from the read model."""
    kept = _kept(parts, wanted)
    if kept is not None:
        return await _folded(parts, kept, after)
    try:
        reply = await parts.asker.query("run", queries.RunDetail(run_id=wanted))
    except NotFound:
        return await _folded(parts, await read_history(parts.bus, wanted), after)
    run = msgspec.json.decode(reply.value, type=RunView)
    if run.state not in FINAL_RUN_STATES:
        history = await read_history(parts.bus, wanted)
        if history.run is not None:
            return await _folded(parts, history, after)
    facts, pages = await asyncio.gather(parts.flows.facts(run.flow_id), task_columns(parts.asker, wanted))
    return ended(pages, facts.usual, seq=reply.seq, start_time=run.start_time, end_time=run.end_time)


def _kept(parts: Parts, wanted: str) -> History | None:
    """The fold that the board keeps for those who look at the run's page."""
    board = parts.hub.board
    live = board.runs.get(wanted)
    is_followed = live is not None and live.waiting is None and board.audience.has(f"run:{wanted}")
    return live.history if live is not None and is_followed and live.history.run is not None else None


async def _folded(parts: Parts, history: History, after: int) -> TimelineView:
    run = history.run
    if run is None:
        raise NotFound("there is no such run")
    facts = await parts.flows.facts(run.flow_id)
    lives = history.tasks.values()
    views = [task_of(one, facts) for one in lives if one.last_seq > after or one.performance_warning]
    begin = min((at for at in (run.start_time, *(one.start_time for one in lives)) if at), default=None)
    views.sort(key=_by_start)
    return columns(
        views, facts.usual, seq=history.seq, begin=begin, end_time=run.end_time, total=len(history.tasks)
    )


def _by_start(task: TaskRunView) -> tuple[bool, datetime | None, str]:
    return task.start_time is None, task.start_time, task.task_key


def routes(parts: Parts) -> list[Any]:
    @get(
        "/api/engine/runs/{run_id:str}/timeline",
        opt={"query": ChangedQuery, "answers": {200: TimelineView}},
    )
    async def run_timeline(request: AnyRequest) -> Response[bytes]:
        """All task runs of the run as columns, to be drawn; with `after` just those that have changed since."""
        wanted = query(request, ChangedQuery)
        return json(await timeline(parts, run_id(request), wanted.after))

    return [run_timeline]
