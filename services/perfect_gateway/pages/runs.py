"""`/runs/{id}`: one run, live."""

import asyncio
from typing import Any

import msgspec
from litestar import Response, get, post

from perfect_gateway import shapes
from perfect_gateway.api.runs import cancel_run
from perfect_gateway.live import fragments
from perfect_gateway.outermost import POLICY
from perfect_gateway.pages.page import html, position, see
from perfect_gateway.pages.run_tabs import RunTabQuery, RunTabs
from perfect_gateway.parts import Parts
from perfect_gateway.reasons import explain
from perfect_gateway.runs import folded_run, no_run, streamed_lines
from perfect_gateway.wire import AnyRequest, query, run_id
from perfect_schemas import queries
from perfect_schemas.errors import NotFound
from perfect_schemas.shown import artifact_view
from perfect_schemas.views import ArtifactView

LINES = 1000
RUN_POLICY = {"content-security-policy": f"{POLICY}; img-src 'self' data: http: https:"}
"""A run may show images from anywhere."""
TASKS = 500  # of a run with more, the overview lists some, and the browser draws the timeline from columns


class RunContext(msgspec.Struct, kw_only=True):
    """What `pages/run.html` shows. seq: EVENTS and LOGS sequences that it is as of. is_large: `tasks` are the first ones."""

    run: dict[str, Any]
    tasks: list[dict[str, Any]]
    logs: list[dict[str, Any]]
    artifacts: list[ArtifactView]
    seq: int | None
    log_seq: int
    earlier: bool
    is_large: bool = False


class _Tasks(msgspec.Struct):
    task_runs: list[dict[str, Any]]
    next: str | None


class _Logs(msgspec.Struct):
    logs: list[dict[str, Any]]
    seq: int


class _Whole(msgspec.Struct):
    """`queries.RunWhole`, as far as it is, for the templates."""

    run: dict[str, Any]
    task_runs: _Tasks
    logs: _Logs
    artifacts: queries.Artifacts


_decode_whole = msgspec.json.Decoder(_Whole).decode


async def projected(parts: Parts, wanted: str) -> RunContext:
    """From the read model. Raises NotFound."""
    asked = queries.WholeRun(run_id=wanted, tasks=TASKS, lines=LINES)
    reply = await parts.asker.query("whole_run", asked)
    found = _decode_whole(reply.value)
    return RunContext(
        run=found.run,
        tasks=found.task_runs.task_runs,
        is_large=found.task_runs.next is not None,
        logs=found.logs.logs,
        artifacts=found.artifacts.artifacts,
        seq=reply.seq,
        log_seq=found.logs.seq,
        earlier=len(found.logs.logs) == LINES,
    )


async def folded(parts: Parts, wanted: str) -> RunContext:
    """From the run's own subjects: it is younger than the read model. Raises NotFound."""
    history, view = await folded_run(parts, wanted)
    if view is None or history.run is None:
        raise no_run(wanted)
    facts = await parts.flows.facts(history.run.flow_id)
    logs, log_seq = await streamed_lines(parts, wanted)
    tasks = fragments.task_dicts(history.tasks.values(), facts)
    return RunContext(
        run=shapes.plain(view),
        tasks=tasks,
        logs=shapes.plain(logs[-LINES:]),
        artifacts=[
            artifact_view(life)
            for life in sorted(history.artifacts.values(), key=lambda life: life.first_seq)
            if life.kind is not None
        ],
        seq=history.seq,
        log_seq=log_seq,
        earlier=len(logs) > LINES,
    )


async def run_context(parts: Parts, wanted: str) -> dict[str, Any]:
    """What `pages/run.html` takes. Raises NotFound."""
    try:
        shown = await projected(parts, wanted)
    except NotFound:
        shown = await folded(parts, wanted)
    run = await explain(parts.bus, shown.run)
    usual = (await parts.flows.facts(run["flow_id"])).usual
    return {
        "seq": position(shown.seq, shown.log_seq),
        "run": shapes.run_shape(run, result=True),
        "tasks": [shapes.task_shape(task, usual) for task in shown.tasks],
        "is_large": shown.is_large,
        "logs": [shapes.numbered(line) for line in shown.logs],
        "artifacts": [shapes.artifact_shape(one) for one in shown.artifacts],
        "logs_earlier": f"/api/engine/runs/{wanted}/logs?limit=1000" if shown.earlier else None,
        "actions": shapes.actions(run),
        "version": parts.version,
    }


def routes(parts: Parts) -> list[Any]:
    tabs = RunTabs(parts)

    @get("/runs/{run_id:str}")
    async def run(request: AnyRequest) -> Response[bytes]:
        wanted, asked = run_id(request), query(request, RunTabQuery)
        if asked.n is not None:
            return see(request, await tabs.address(wanted, asked))
        if asked.at is not None:
            context = await tabs.as_it_was(wanted, asked)
        elif asked.tab == "overview":
            context = await run_context(parts, wanted)
        else:
            context = await tabs.shown(wanted, asked)
        if (
            len(context.get("tasks", ())) > TASKS
        ):  # drawing them takes long: not on the loop that serves everybody
            return await asyncio.to_thread(html, "pages/run.html", headers=RUN_POLICY, **context)
        return html("pages/run.html", headers=RUN_POLICY, **context)

    @post("/runs/{run_id:str}/cancel", status_code=303)
    async def cancel(request: AnyRequest) -> Response[bytes]:
        wanted = run_id(request)
        await cancel_run(parts, wanted)
        return see(request, f"/runs/{wanted}")

    return [run, cancel]
