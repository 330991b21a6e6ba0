"""`/flows/{id}`: one flow with its runs and the form that runs it."""

import asyncio
from typing import Any

import msgspec
from litestar import Response, get, post

import perfect_ui
from perfect_gateway import shapes
from perfect_gateway.api.runs import TriggerBody, trigger_run
from perfect_gateway.pages.page import form, html, position, see
from perfect_gateway.pages.versions import known_versions, shown
from perfect_gateway.parts import Parts
from perfect_gateway.problems import invalid
from perfect_gateway.schedules import all_shown, shape
from perfect_gateway.wire import AnyRequest
from perfect_schemas import queries
from perfect_schemas.errors import InvalidInput, NotFound
from perfect_schemas.ids import is_id
from perfect_schemas.views import FlowView, StatisticView

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


class _Runs(msgspec.Struct):
    runs: list[dict[str, Any]]


class _Whole(msgspec.Struct):
    """`queries.FlowWhole`, as far as it is, for the templates."""

    flow: FlowView
    runs: _Runs
    tasks: list[dict[str, Any]]
    versions: list[StatisticView]


_decode_whole = msgspec.json.Decoder(_Whole).decode


async def flow_context(parts: Parts, name: str) -> dict[str, Any]:
    """Raises NotFound."""
    asking = parts.asker.query("whole_flow", queries.WholeFlow(flow=name, runs=RUNS))
    reply, versions, schedules = await asyncio.gather(
        asking, known_versions(parts, name), all_shown(parts.asker, name)
    )
    found = _decode_whole(reply.value)
    return {
        "seq": position(reply.seq),
        "flow": shapes.flow_shape(found.flow),
        "runs": [shapes.run_shape(run) for run in found.runs.runs],
        "task_statistics": found.tasks,
        "versions": shapes.plain(shown(versions, found.versions)),
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
