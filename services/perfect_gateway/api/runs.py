"""Runs: list, show, trigger, cancel; their tasks and events."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, get, post

from perfect_gateway.parts import Parts
from perfect_gateway.reasons import explained
from perfect_gateway.wire import AnyRequest, aware, body, json, page, query, run_id
from perfect_schemas import commands, ids, queries
from perfect_schemas.envelope import Configuration
from perfect_schemas.states import FINAL_RUN_STATES, RunState
from perfect_schemas.views import EventView, RunView, TaskRunView

Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
STATE_SETS = {
    "active": [state.value for state in RunState if state not in FINAL_RUN_STATES],
    "problem": ["FAILED", "CRASHED"],
}
StateName = Literal[
    "SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING", "COMPLETED", "FAILED", "CANCELLED", "CRASHED",
    "active", "problem",
]  # fmt: skip


class RunQuery(msgspec.Struct, frozen=True, kw_only=True):
    """flow: id or name. state: one or several; active = not final, problem = FAILED or CRASHED.
    tag: runs that have it. configuration: runs in it. sort: newest start first, or longest duration first.
    text: in the flow's name, the run's name or a tag, upper and lower case alike; or four and more digits that the
    run's id begins or ends with. since, until: of its start, or of creation as long as it has not started.
    worker: the name of the one that has or had the run last.
    """

    flow: str | None = None
    state: list[StateName] = []
    tag: str | None = None
    configuration: Configuration | None = None
    worker: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    sort: Literal["start", "duration"] = "start"
    limit: Limit = 50
    cursor: str | None = None


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    limit: Limit = 50
    cursor: str | None = None


class TriggerBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """idempotency_key: for 24 h, the same key with the same parameters answers with the first run (200).
    scheduled_for: when the run may start, with its time zone; now without. deployment: of the flow, its parameters and
    tags are defaults.
    """

    configuration: Configuration = "development"
    parameters: dict[str, Any] = {}
    tags: list[str] = []
    idempotency_key: str | None = None
    scheduled_for: datetime | None = None
    name: str | None = None
    priority: int = 0
    deployment: str | None = None


class _Page(msgspec.Struct):
    """Any projector page: the list inside stays the bytes that it came as."""

    runs: msgspec.Raw = msgspec.Raw(b"[]")
    task_runs: msgspec.Raw = msgspec.Raw(b"[]")
    events: msgspec.Raw = msgspec.Raw(b"[]")
    next: str | None = None


_decode_page = msgspec.json.Decoder(_Page).decode


def states(wanted: list[str]) -> list[str]:
    found: list[str] = []
    for state in wanted:
        found += STATE_SETS.get(state, [state])
    return list(dict.fromkeys(found))


def run_page(wanted: RunQuery) -> queries.RunPage:
    return queries.RunPage(
        flow=wanted.flow,
        state=states(list(wanted.state)),
        tag=wanted.tag,
        configuration=wanted.configuration,
        worker=wanted.worker,
        text=wanted.text,
        since=aware(wanted.since),
        until=aware(wanted.until),
        sort=wanted.sort,
        limit=wanted.limit,
        cursor=wanted.cursor,
    )


def triggered_view(triggered: commands.Triggered, wanted: TriggerBody) -> RunView:
    """The run as it is at its first moment."""
    return RunView(
        id=triggered.run_id,
        flow_id=triggered.flow_id,
        flow_name=triggered.flow_name,
        flow_version=triggered.flow_version,
        state=triggered.state,
        progress=0.0,
        created_at=triggered.created_at,
        start_time=None,
        end_time=None,
        duration_ms=None,
        queued_ms=None,
        configuration=wanted.configuration,
        parameters=wanted.parameters if triggered.parameters is None else triggered.parameters,
        tags=wanted.tags if triggered.tags is None else triggered.tags,
        deployment=triggered.deployment,
        client_name=None,
        attempt=1,
        error=None,
        waiting_for=None,
        performance_warning=None,
        tasks_done=0,
        tasks_total=0,
        name=wanted.name,
    )


def triggered_answer(triggered: commands.Triggered, wanted: TriggerBody) -> tuple[bytes, int, dict[str, str]]:
    """The body of the answer, its status and its headers."""
    data = msgspec.json.encode(triggered_view(triggered, wanted))
    return data, 202 if triggered.new else 200, {"location": f"/api/engine/runs/{triggered.run_id}"}


async def trigger_run(parts: Parts, flow: str, wanted: TriggerBody) -> commands.Triggered:
    """The run's id is made here, so that repeating the command until it is answered makes one run."""
    return await parts.asker.command(
        "engine",
        "trigger",
        commands.TriggerRun(
            run_id=ids.uuid7(),
            flow=flow,
            configuration=wanted.configuration,
            parameters=wanted.parameters,
            tags=wanted.tags,
            idempotency_key=wanted.idempotency_key,
            scheduled_for=wanted.scheduled_for,
            name=wanted.name,
            priority=wanted.priority,
            deployment=wanted.deployment,
        ),
        commands.Triggered,
    )


async def cancel_run(parts: Parts, run: str) -> None:
    await parts.asker.command("engine", "cancel", commands.CancelRun(run_id=run, by="api"), commands.Done)


def routes(parts: Parts) -> list[Any]:
    @get("/api/engine/runs", opt={"query": RunQuery, "answers": {200: list[RunView]}})
    async def runs(request: AnyRequest) -> Response[bytes]:
        """Runs, newest first. The next page is in the Link header."""
        reply = await parts.asker.query("runs", run_page(query(request, RunQuery)))
        found = _decode_page(reply.value)
        return page(request, bytes(found.runs), found.next)

    @get("/api/engine/runs/{run_id:str}", opt={"answers": {200: RunView}})
    async def run(request: AnyRequest) -> Response[bytes]:
        """One run, also in the moment after its trigger; `waiting_for` says why it does not run."""
        wanted_id = run_id(request)
        reply = await parts.asker.of_run("run", queries.RunDetail(run_id=wanted_id), wanted_id)
        return json(await explained(parts.bus, bytes(reply.value)))

    @get("/api/engine/runs/{run_id:str}/tasks", opt={"query": PageQuery, "answers": {200: list[TaskRunView]}})
    async def tasks(request: AnyRequest) -> Response[bytes]:
        """The run's task runs in order of their start."""
        wanted, wanted_id = query(request, PageQuery), run_id(request)
        asked = queries.TaskRunPage(run_id=wanted_id, limit=wanted.limit, cursor=wanted.cursor)
        reply = await parts.asker.of_run("task_runs", asked, wanted_id)
        found = _decode_page(reply.value)
        return page(request, bytes(found.task_runs), found.next)

    @get("/api/engine/runs/{run_id:str}/events", opt={"query": PageQuery, "answers": {200: list[EventView]}})
    async def events(request: AnyRequest) -> Response[bytes]:
        """What was said of the run: the events themselves, in order."""
        wanted, wanted_id = query(request, PageQuery), run_id(request)
        asked = queries.EventPage(run_id=wanted_id, limit=wanted.limit, cursor=wanted.cursor)
        reply = await parts.asker.of_run("events", asked, wanted_id)
        found = _decode_page(reply.value)
        return page(request, bytes(found.events), found.next)

    @post(
        ["/api/engine/trigger/{flow_id:str}", "/api/engine/trigger/{flow_id:str}/{deployment:str}"],
        status_code=202,
        opt={
            "body": TriggerBody,
            "optional": True,
            "answers": {202: RunView, 200: RunView},
            "problems": (409,),
            "location": True,
        },
    )
    async def trigger(request: AnyRequest) -> Response[bytes]:
        """Run a flow, by id or name, or one of its deployments. 202 with the run; 200 when its idempotency key had made it before."""
        wanted = await body(request, TriggerBody, optional=True)
        flow = "/".join(
            request.path_params[part] for part in ("flow_id", "deployment") if part in request.path_params
        )
        data, status, headers = triggered_answer(await trigger_run(parts, flow, wanted), wanted)
        return json(data, status=status, headers=headers)

    @post(
        "/api/engine/runs/{run_id:str}/cancel",
        status_code=202,
        opt={"answers": {202: commands.Control}, "problems": (409,)},
    )
    async def cancel(request: AnyRequest) -> Response[bytes]:
        """Ask the run to end. 409 when it has ended."""
        wanted_id = run_id(request)
        await cancel_run(parts, wanted_id)
        return json(commands.Control(verb="cancel", run_id=wanted_id), status=202)

    return [runs, run, tasks, events, trigger, cancel]
