"""`/flows/{id}`: one flow with its runs and the form that runs it."""

import asyncio
from typing import Any

import msgspec
from litestar import Response, get, post

import perfect_ui
from perfect_gateway import shapes
from perfect_gateway.api.runs import TriggerBody, trigger_run
from perfect_gateway.pages.page import form, html, position, see
from perfect_gateway.pages.versions import Shown, version_history
from perfect_gateway.parts import Parts
from perfect_gateway.problems import invalid
from perfect_gateway.schedules import ShownSchedule, all_shown, shape
from perfect_gateway.wire import AnyRequest
from perfect_schemas import queries
from perfect_schemas.commands import Reply
from perfect_schemas.errors import InvalidInput, NotFound
from perfect_schemas.ids import is_id
from perfect_schemas.views import FlowView, StatisticsView

RUNS = 50


def form_problems(error: InvalidInput) -> list[dict[str, str]]:
    """The engine's errors as the form shows them: at the parameter's field, or on top for the whole form."""
    found = []
    for wrong in error.errors:
        path = wrong.field.removeprefix("parameters").removeprefix(".")
        name, _, rest = path.partition(".")
        found.append({"field": name, "message": f"{rest}: {wrong.message}" if rest else wrong.message})
    return found or [{"field": "", "message": error.detail}]


def submitted_tags(text: str) -> list[str]:
    return list(dict.fromkeys(filter(None, (tag.strip() for tag in text.split(",")))))


async def _around(
    parts: Parts, flow_id: str
) -> tuple[Reply, StatisticsView, list[Shown], list[ShownSchedule]]:
    """Its last runs, its statistics, its versions, its schedules."""
    runs, (statistics, _), versions, schedules = await asyncio.gather(
        parts.asker.query("runs", queries.RunPage(flow=flow_id, limit=RUNS)),
        parts.asker.value("statistics", queries.Statistics(flow=flow_id), StatisticsView),
        version_history(parts, flow_id),
        all_shown(parts.asker, flow_id),
    )
    return runs, statistics, versions, schedules


async def flow_context(parts: Parts, name: str) -> dict[str, Any]:
    """Raises NotFound."""
    asking = parts.asker.value("flow", queries.FlowDetail(flow=name), FlowView)
    if is_id(name):  # then all can be asked at once
        (found, as_of), (runs, statistics, versions, schedules) = await asyncio.gather(
            asking, _around(parts, name)
        )
    else:
        found, as_of = await asking
        runs, statistics, versions, schedules = await _around(parts, found.id)
    shown = msgspec.json.decode(runs.value)["runs"]
    return {
        "seq": position(None if as_of is None or runs.seq is None else min(as_of, runs.seq)),
        "flow": shapes.flow_shape(found),
        "runs": [shapes.run_shape(run) for run in shown],
        "task_statistics": shapes.plain(statistics.tasks),
        "versions": shapes.plain(versions),
        "schedules": [shape(one) for one in schedules],
        "version": parts.version,
    }


async def form_of_run(parts: Parts, flow: dict[str, Any], run: str) -> dict[str, Any]:
    """What the form says for a run like `run`; nothing when there is no such run of this flow."""
    if not is_id(run):
        return {}
    try:
        found = msgspec.json.decode(
            (await parts.asker.of_run("run", queries.RunDetail(run_id=run), run)).value
        )
    except NotFound:
        return {}
    if found["flow_id"] != flow["id"]:
        return {}
    return {
        "values": perfect_ui.form_values(flow["parameters"], found["parameters"]),
        "configuration": found["configuration"],
        "run_tags": ", ".join(found["tags"]),
    }


def routes(parts: Parts) -> list[Any]:
    @get("/flows/{flow_id:str}")
    async def flow(request: AnyRequest) -> Response[bytes]:
        """`?from=<run id>`: the form is filled in as for that run."""
        context = await flow_context(parts, request.path_params["flow_id"])
        before = request.query_params.get("from", "")
        return html("pages/flow.html", **context, **await form_of_run(parts, context["flow"], before))

    @post("/flows/{flow_id:str}/runs", status_code=303)
    async def trigger(request: AnyRequest) -> Response[bytes]:
        fields = await form(request)
        name = request.path_params["flow_id"]
        found, _ = await parts.asker.value("flow", queries.FlowDetail(flow=name), FlowView)
        last = {key: values[-1] for key, values in fields.items()}
        parameters, problems = perfect_ui.form_parameters(found.parameters, last)
        if not problems:
            try:
                wanted = msgspec.convert(
                    {
                        "configuration": last.get("configuration") or "development",
                        "parameters": parameters,
                        "tags": submitted_tags(last.get("tags", "")),
                    },
                    TriggerBody,
                )
                triggered = await trigger_run(parts, found.id, wanted)
                return see(request, f"/runs/{triggered.run_id}")
            except msgspec.ValidationError as error:
                problems = form_problems(invalid(error))
            except InvalidInput as error:
                problems = form_problems(error)
        typed = {
            "values": last,
            "problems": problems,
            "configuration": last.get("configuration", "development"),
            "run_tags": last.get("tags", ""),
        }
        if request.headers.get("hx-request") == "true":
            return html("parts/trigger_form.html", status=422, flow=shapes.flow_shape(found), **typed)
        return html("pages/flow.html", status=422, **await flow_context(parts, found.id), **typed)

    return [flow, trigger]
