"""`/concurrency`: the named limits, who is in, who waits; set and removed by forms."""

import asyncio
from typing import Any

from litestar import Response, get, post

from perfect_gateway import limits
from perfect_gateway.pages.page import html, see
from perfect_gateway.pages.schedules import now_seq, submitted
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest
from perfect_schemas import commands
from perfect_schemas.errors import FieldError, InvalidInput

BY = "page"
EMPTY = {"name": "", "slots": "1", "slot_decay_per_second": ""}


async def page_context(parts: Parts) -> dict[str, Any]:
    seq, found = await asyncio.gather(now_seq(parts), limits.context(parts.asker))
    return {"seq": seq, "version": parts.version, "fields": EMPTY, **found}


def limit_of(fields: dict[str, str]) -> commands.SetLimit:
    """Raises InvalidInput naming every field that is no number."""
    errors: list[FieldError] = []
    slots, decay = 0, 0.0
    try:
        slots = int(fields.get("slots", ""))
    except ValueError:
        errors.append(FieldError("slots", "must be a whole number"))
    try:
        decay = float(fields.get("slot_decay_per_second") or 0)
    except ValueError:
        errors.append(FieldError("slot_decay_per_second", "must be a number, or empty"))
    if errors:
        raise InvalidInput("the limit cannot be set", errors)
    return commands.SetLimit(name=fields.get("name", ""), slots=slots, by=BY, slot_decay_per_second=decay)


def routes(parts: Parts) -> list[Any]:
    @get("/concurrency")
    async def all_limits() -> Response[bytes]:
        return html("pages/concurrency.html", **await page_context(parts))

    @post("/concurrency", status_code=303)
    async def set_limit(request: AnyRequest) -> Response[bytes]:
        fields = await submitted(request)
        try:
            await parts.asker.command("engine", "set_limit", limit_of(fields), commands.Done)
        except InvalidInput as error:
            problems = [{"field": one.field, "message": one.message} for one in error.errors]
            problems = problems or [{"field": "", "message": error.detail}]
            context = {**await page_context(parts), "fields": {**EMPTY, **fields}}
            return html("pages/concurrency.html", status=422, **context, problems=problems)
        return see(request, "/concurrency")

    @post("/concurrency/remove", status_code=303)
    async def remove(request: AnyRequest) -> Response[bytes]:
        name = (await submitted(request)).get("name", "")
        await parts.asker.command(
            "engine", "remove_limit", commands.RemoveLimit(name=name, by=BY), commands.Done
        )
        return see(request, "/concurrency")

    return [all_limits, set_limit, remove]
