"""The task runs of a run as columns, for whoever draws them all."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

import msgspec
from litestar import Response, get

from perfect_gateway.folded import read_history, task_of
from perfect_gateway.parts import Parts
from perfect_gateway.task_columns import TaskRow, TimelineView, columns, first_moment
from perfect_gateway.wire import AnyRequest, json, query, run_id
from perfect_schemas import queries
from perfect_schemas.errors import NotFound
from perfect_schemas.folds.history import History
from perfect_schemas.states import FINAL_RUN_STATES
from perfect_schemas.views import RunView, TaskRunView

ROWS_A_PAGE = 10_000
MOST_ROWS = 100_000


class _Rows(msgspec.Struct):
    task_runs: list[TaskRow]
    next: str | None = None


_decode_rows = msgspec.json.Decoder(_Rows).decode


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
    facts, tasks = await asyncio.gather(parts.flows.facts(run.flow_id), rows(parts, wanted))
    return columns(
        tasks,
        facts.usual,
        seq=reply.seq,
        begin=first_moment(run.start_time, tasks),
        end_time=run.end_time,
        total=len(tasks),
    )


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
    begin = run.start_time
    started = [one.start_time for one in lives if one.start_time is not None]
    if started:
        begin = min([*started, *([begin] if begin else [])])
    views.sort(key=_by_start)
    return columns(
        views, facts.usual, seq=history.seq, begin=begin, end_time=run.end_time, total=len(history.tasks)
    )


def _by_start(task: TaskRunView) -> tuple[bool, datetime | None, str]:
    return task.start_time is None, task.start_time, task.task_key


class TaskPage(Protocol):
    """A page of task runs, of which only what is needed has been decoded."""

    task_runs: list[Any]
    next: str | None


async def rows(
    parts: Parts, wanted: str, most: int = MOST_ROWS, decode: Callable[[bytes], TaskPage] = _decode_rows
) -> list[Any]:
    """The run's task runs in order of their start, from the read model, as `decode` makes them."""
    found: list[Any] = []
    cursor: str | None = None
    while True:
        asked = queries.TaskRunPage(run_id=wanted, limit=min(ROWS_A_PAGE, most), cursor=cursor)
        reply = await parts.asker.query("task_runs", asked)
        page = decode(bytes(reply.value))
        found += page.task_runs
        cursor = page.next
        if cursor is None or len(found) >= most:
            return found


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
