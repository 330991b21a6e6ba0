"""`/schedules`: when flows run by themselves. `/schedules/{id}`: one, with what comes and what was decided."""

import asyncio
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get, post

from perfect_gateway import schedules, shapes
from perfect_gateway.api import schedules as api
from perfect_gateway.live import schedules as live
from perfect_gateway.live.schedules import COMING, DECIDED
from perfect_gateway.pages.page import form, html, position, see
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, query
from perfect_runtime.occurrence import zone
from perfect_schemas import commands, queries
from perfect_schemas.errors import FieldError, InvalidInput, NotFound
from perfect_schemas.views import SummaryView

BY = api.BY


async def now_seq(parts: Parts) -> str | None:
    """The position of a page that shows nothing of runs: any that is not later than what it shows."""
    _, as_of = await parts.asker.value("summary", queries.Summary(), SummaryView)
    return position(as_of)


class ScheduleListQuery(api.ScheduleQuery, frozen=True, kw_only=True):
    """after: where the page before ended."""

    after: str | None = None


async def list_context(parts: Parts, wanted: ScheduleListQuery) -> dict[str, Any]:
    seq, found = await asyncio.gather(now_seq(parts), schedules.all_shown(parts.asker, wanted.flow))
    page = schedules.paged([one for one in found if wanted.state in (None, one.state)], wanted.after)
    filters = {"flow": wanted.flow or "", "state": wanted.state or ""}
    kept = {name: text for name, text in filters.items() if text}
    return {
        "seq": None if kept else seq,
        "topic": live.topic(wanted.after),
        "schedules": [schedules.shape(one) for one in page.schedules],
        "known": page.known,
        "first": not wanted.after,
        "following": page.following,
        "next_page": f"/schedules?{urlencode({**kept, 'after': page.following})}" if page.following else None,
        "filters": filters,
        "version": parts.version,
    }


async def one_context(parts: Parts, schedule_id: str) -> dict[str, Any]:
    """Raises NotFound."""
    asker = parts.asker
    page = queries.ScheduleDecisionPage(schedule_id=schedule_id, limit=DECIDED)
    seq, one, coming, decided = await asyncio.gather(
        now_seq(parts),
        schedules.one_shown(asker, schedule_id),
        schedules.coming(asker, schedule_id, COMING),
        schedules.decisions(asker, page),
    )
    return {
        "seq": seq,
        "schedule": schedules.shape(one),
        "coming": schedules.shapes_of(coming),
        "decisions": schedules.shapes_of(decided.decisions),
        "backfill": None,
        "range": {"since": "", "until": ""},
        "version": parts.version,
    }


async def submitted(request: AnyRequest) -> dict[str, str]:
    """The last value of each field; a button alone submits nothing."""
    if not request.headers.get("content-type"):
        return {}
    return {name: values[-1].strip() for name, values in (await form(request)).items()}


def local_instant(text: str, field: str, timezone: str | None) -> datetime:
    """Raises InvalidInput."""
    try:
        return zone.instant_of(datetime.fromisoformat(text), zone.zone(timezone))
    except (ValueError, TypeError):
        message = "must be a day and a time"
        raise InvalidInput(f"{field}: {message}", [FieldError(field, message)]) from None


def _id(request: AnyRequest) -> str:
    return str(request.path_params["schedule_id"])


def routes(parts: Parts) -> list[Any]:
    @get("/schedules")
    async def all_schedules(request: AnyRequest) -> Response[bytes]:
        """`?flow=`, `?state=`: just those. `?after=`: the page that begins there."""
        return html("pages/schedules.html", **await list_context(parts, query(request, ScheduleListQuery)))

    @get("/schedules/{schedule_id:str}")
    async def one(request: AnyRequest) -> Response[bytes]:
        return html("pages/schedule.html", **await one_context(parts, _id(request)))

    @post("/schedules/{schedule_id:str}/{verb:str}", status_code=303)
    async def act(request: AnyRequest) -> Response[bytes]:
        """pause, resume, remove. `back`: the page to return to."""
        acts = {"pause": api.pause, "resume": api.resume, "remove": api.remove}
        verb, wanted = str(request.path_params["verb"]), _id(request)
        if verb not in acts:
            raise NotFound(
                f"a schedule cannot be asked to {verb[:40]}; it can be paused, resumed, removed and backfilled"
            )
        back = (await submitted(request)).get("back", "")
        view = await schedules.view_of(parts.asker, wanted)
        await acts[verb](parts, wanted)
        if back == "flow":
            return see(request, f"/flows/{view.flow_id}")
        return see(request, "/schedules" if back == "list" or verb == "remove" else f"/schedules/{wanted}")

    @post("/schedules/{schedule_id:str}/backfill", status_code=303)
    async def backfill(request: AnyRequest) -> Response[bytes]:
        """`dry_run`: the page with what would be started."""
        fields, wanted = await submitted(request), _id(request)
        view = await schedules.view_of(parts.asker, wanted)
        dry_run = fields.get("dry_run") == "true"
        typed = {"since": fields.get("since", ""), "until": fields.get("until", "")}
        try:
            since, until = (local_instant(typed[name], name, view.spec.timezone) for name in typed)
            command = commands.BackfillSchedule(
                schedule_id=wanted, since=since, until=until, by=BY, dry_run=dry_run
            )
            done = shapes.plain(await schedules.backfill(parts.asker, command))
        except InvalidInput as error:
            context = await one_context(parts, wanted)
            problems = [{"field": one.field, "message": one.message} for one in error.errors]
            problems = problems or [{"field": "", "message": error.detail}]
            return html("pages/schedule.html", status=422, **{**context, "range": typed}, problems=problems)
        if not dry_run:
            return see(request, f"/schedules/{wanted}#decisions")
        context = await one_context(parts, wanted)
        return html("pages/schedule.html", status=200, **{**context, "backfill": done, "range": typed})

    return [all_schedules, one, act, backfill]
