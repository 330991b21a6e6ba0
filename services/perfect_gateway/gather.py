"""Gathers what is known of one run, for its report and for comparing it with another."""

import asyncio
from datetime import datetime

import msgspec

from perfect_gateway.parts import Parts
from perfect_gateway.phases import Phase, phases
from perfect_gateway.record import Lines, RunRecord
from perfect_schemas import codec, queries, subjects
from perfect_schemas.codec import UnknownEvent
from perfect_schemas.envelope import Event
from perfect_schemas.errors import NotFound
from perfect_schemas.events import ClientConnected
from perfect_schemas.views import RunView, StatisticsView, StatisticView, TaskRunView

ROWS_A_PAGE = 10_000
MOST_TASKS = 50_000
MOST_EVENTS = 50_000
MOST_CLIENTS = 20
FIRST_LINES = 200
LAST_LINES = 800


async def record(parts: Parts, run_id: str) -> RunRecord:
    """Raises NotFound."""
    reply = await parts.asker.of_run("run", queries.RunDetail(run_id=run_id), run_id)
    run = msgspec.json.decode(reply.value, type=RunView)
    tasks, said = await asyncio.gather(_tasks(parts, run_id), _events(parts, run_id))
    lived = phases(said)
    return RunRecord(run=run, tasks=tasks, phases=lived, clients=await _clients(parts, lived))


async def history(parts: Parts, flow_id: str) -> tuple[StatisticView | None, dict[str, StatisticView]]:
    """What is usual for the flow, and for its tasks by id."""
    found, _ = await parts.asker.value("statistics", queries.Statistics(flow=flow_id), StatisticsView)
    return next(iter(found.flows), None), {one.id: one for one in found.tasks}


async def lines(parts: Parts, run_id: str) -> Lines:
    head = queries.LogPage(run_id=run_id, limit=FIRST_LINES, count=True)
    tail = queries.LogPage(run_id=run_id, limit=LAST_LINES, tail=True)
    (first, _), (last, _) = await asyncio.gather(
        parts.asker.value("logs", head, queries.Logs), parts.asker.value("logs", tail, queries.Logs)
    )
    seen = {(line.seq, line.n) for line in first.logs}
    rest = [line for line in last.logs if (line.seq, line.n) not in seen]
    return Lines(
        first=first.logs, left_out=max((first.total or 0) - len(first.logs) - len(rest), 0), last=rest
    )


async def run_before(parts: Parts, run: RunView) -> str:
    """The run of the same flow that this one is to be compared with: the last one before it that completed, otherwise
    the last one that ended. Raises NotFound.
    """
    for states in (["COMPLETED"], ["FAILED", "CANCELLED", "CRASHED"]):
        asked = queries.RunPage(flow=run.flow_id, state=states, until=_begin(run), limit=2)
        found, _ = await parts.asker.value("runs", asked, queries.Runs)
        for earlier in found.runs:
            if earlier.id != run.id:
                return earlier.id
    raise NotFound(
        f"flow {run.flow_name!r} has no run before {run.id} that has ended: nothing to compare it with"
    )


def _begin(run: RunView) -> datetime:
    return run.start_time or run.created_at


async def _tasks(parts: Parts, run_id: str) -> list[TaskRunView]:
    tasks: list[TaskRunView] = []
    cursor: str | None = None
    while True:
        asked = queries.TaskRunPage(run_id=run_id, limit=ROWS_A_PAGE, cursor=cursor)
        found, _ = await parts.asker.value("task_runs", asked, queries.TaskRuns)
        tasks += found.task_runs
        cursor = found.next
        if cursor is None or len(tasks) >= MOST_TASKS:
            return tasks


async def _events(parts: Parts, run_id: str) -> list[Event]:
    """Of the run's own subject. From the read model, which has them for longer than the bus."""
    said: list[Event] = []
    cursor: str | None = None
    while True:
        asked = queries.EventPage(run_id=run_id, kind="run.", limit=ROWS_A_PAGE, cursor=cursor)
        found, _ = await parts.asker.value("events", asked, queries.Events)
        decoded = (codec.decode(bytes(one.event)) for one in found.events)
        said += [event for event in decoded if not isinstance(event, UnknownEvent)]
        cursor = found.next
        if cursor is None or len(said) >= MOST_EVENTS:
            return said


async def _clients(parts: Parts, lived: list[Phase]) -> dict[str, ClientConnected]:
    """The hello of each client that ran it, the last ones first."""
    wanted = list(dict.fromkeys(phase.client_id for phase in reversed(lived) if phase.client_id))
    found: dict[str, ClientConnected] = {}
    for client_id in wanted[:MOST_CLIENTS]:
        for _, _, data in await parts.bus.read_raw(subjects.client(client_id), stream="DEFS"):
            event = codec.decode(data)
            if isinstance(event, ClientConnected):
                found[client_id] = event
    return found
