"""`/schedules/new`, `/schedules/{id}/edit`: the form of a schedule, with what it comes to as somebody types."""

from typing import Any

import msgspec
from litestar import Response, get, post

from perfect_gateway import schedules
from perfect_gateway.api import schedules as api
from perfect_gateway.pages import schedule_form
from perfect_gateway.pages.page import html, see
from perfect_gateway.pages.schedules import submitted
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, query
from perfect_schemas import queries
from perfect_schemas.errors import Conflicting, InvalidInput, NotFound
from perfect_schemas.views import FlowView

PREVIEWED = 8


class NewPage(msgspec.Struct, frozen=True, kw_only=True):
    flow: str | None = None


async def form_context(parts: Parts, fields: dict[str, str], schedule_id: str | None) -> dict[str, Any]:
    flows, _ = await parts.asker.value("flows", queries.FlowList(), list[FlowView])
    return {
        "fields": fields,
        "flows": [{"id": flow.id, "name": flow.name} for flow in flows],
        "zones": schedule_form.zones(),
        "schedule_id": schedule_id,
        "version": parts.version,
        **await preview_context(parts, fields),
    }


async def preview_context(parts: Parts, fields: dict[str, str]) -> dict[str, Any]:
    """What the schedule of the form comes to: its next instants, or what is wrong with it."""
    try:
        spec = schedule_form.spec_of(fields)
        coming = await schedules.previewed(parts.asker, spec, PREVIEWED)
    except InvalidInput as error:
        return {"coming": [], "words": "", "zone": "", "problems": schedule_form.problems_of(error)}
    return {
        "coming": schedules.shapes_of(coming),
        "words": schedules.words(spec),
        "zone": spec.timezone or "UTC",
        "problems": [],
    }


def _id(request: AnyRequest) -> str:
    return str(request.path_params["schedule_id"])


def routes(parts: Parts) -> list[Any]:
    @get("/schedules/new")
    async def new(request: AnyRequest) -> Response[bytes]:
        """`?flow=`: for that flow."""
        fields = schedule_form.fields_of(schedule_form.EXAMPLE) | {"flow": query(request, NewPage).flow or ""}
        return html("pages/schedule_form.html", **await form_context(parts, fields, None))

    @post("/schedules", status_code=303)
    async def create(request: AnyRequest) -> Response[bytes]:
        fields = schedule_form.complete(await submitted(request))
        problems: list[dict[str, str]] = []
        try:
            made = await api.create(parts, fields["flow"], schedule_form.spec_of(fields))
            return see(request, f"/schedules/{made.id}")
        except InvalidInput as error:
            problems = schedule_form.problems_of(error)
        except Conflicting as error:
            problems = [{"field": "name", "message": error.detail}]
        except NotFound as error:
            problems = [{"field": "flow", "message": error.detail}]
        context = await form_context(parts, fields, None)
        return html("pages/schedule_form.html", status=422, **{**context, "problems": problems})

    @post("/schedules/preview", status_code=200)
    async def preview(request: AnyRequest) -> Response[bytes]:
        """The part of the form's page that shows what comes, as somebody types."""
        fields = schedule_form.complete(await submitted(request))
        return html("parts/schedule_preview.html", **await preview_context(parts, fields))

    @get("/schedules/{schedule_id:str}/edit")
    async def edit(request: AnyRequest) -> Response[bytes]:
        view = await schedules.view_of(parts.asker, _id(request))
        fields = schedule_form.fields_of(view.spec) | {"flow": view.flow_id, "flow_name": view.flow_name}
        context = await form_context(parts, fields, view.id)
        return html("pages/schedule_form.html", **context, made_by=view.made_by)

    @post("/schedules/{schedule_id:str}", status_code=303)
    async def change(request: AnyRequest) -> Response[bytes]:
        view = await schedules.view_of(parts.asker, _id(request))
        fields = schedule_form.complete(await submitted(request))
        fields |= {"flow": view.flow_id, "flow_name": view.flow_name, "name": view.name}
        try:
            await api.save(parts, view.flow_id, schedule_form.spec_of(fields, view.spec))
            return see(request, f"/schedules/{view.id}")
        except InvalidInput as error:
            context = await form_context(parts, fields, view.id)
            context["problems"] = schedule_form.problems_of(error)
            return html("pages/schedule_form.html", status=422, **context, made_by=view.made_by)

    return [new, create, preview, edit, change]
