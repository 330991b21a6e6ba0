"""`/runs`: the list with its filters, all of them in the URL. `/runs/chosen`: what is asked of the chosen ones."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Response, get, post

from perfect_gateway import shapes
from perfect_gateway.api.runs import RunQuery, cancel_run, run_page
from perfect_gateway.api.steering import retry_run
from perfect_gateway.pages.page import form, html, position, see
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, aware, query
from perfect_schemas import queries
from perfect_schemas.errors import FieldError, InvalidInput, PerfectError
from perfect_schemas.ids import is_id

FILTERS = ("flow", "state", "tag", "configuration", "worker", "text", "since", "until", "sort")
MOST_CHOSEN = 1000
AT_ONCE = 16


async def _retry(parts: Parts, run: str) -> None:
    await retry_run(parts, run, None)


ACTIONS: dict[str, Callable[[Parts, str], Awaitable[Any]]] = {"cancel": cancel_run, "retry": _retry}


class _Named(msgspec.Struct):
    """Of a flow, what a filter takes."""

    id: str
    name: str


class ListQuery(RunQuery, frozen=True, kw_only=True):
    """asked: what the chosen ones have just been asked for, `<action>.<how many>`; said above the list."""

    asked: str = ""


def typed_time(text: str) -> str:
    """A field for a date and a time leaves the seconds out when they are zero: RFC 3339 does not."""
    return f"{text}:00" if len(text) == len("2026-01-01T00:00") else text


TIMES = {"since": typed_time, "until": typed_time}


def shown_filters(request: AnyRequest, wanted: RunQuery) -> dict[str, str]:
    """As they stand in the fields: the times in UTC, to the minute."""
    filters = {name: request.query_params.get(name, "") for name in FILTERS}
    for name in ("since", "until"):
        if moment := aware(getattr(wanted, name)):
            filters[name] = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M}"
    return filters


def told(asked: str) -> str:
    """`cancel.3` in words; nothing for what nobody was asked."""
    action, _, count = asked.partition(".")
    if action not in ACTIONS or not count.isdecimal():
        return ""
    runs = "1 run was" if count == "1" else f"{int(count):,} runs were"
    return f"{runs} asked to {'end' if action == 'cancel' else 'run again'}."


def chosen(fields: dict[str, list[str]]) -> list[str]:
    """The ids of the chosen runs. Raises InvalidInput."""
    found = list(dict.fromkeys(fields.get("run", [])))
    if not found:
        message = "choose at least one run"
        raise InvalidInput(message, [FieldError("run", message)])
    if len(found) > MOST_CHOSEN or not all(map(is_id, found)):
        message = f"must be the ids of at most {MOST_CHOSEN:,} runs"
        raise InvalidInput(f"run: {message}", [FieldError("run", message)])
    return found


async def ask_each(parts: Parts, action: str, runs: list[str]) -> dict[str, str]:
    """Run → why it was refused."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(run: str) -> str | None:
        async with turns:
            try:
                await ACTIONS[action](parts, run)
            except PerfectError as error:
                return error.detail
        return None

    answers = await asyncio.gather(*map(ask, runs))
    return {run: why for run, why in zip(runs, answers, strict=True) if why is not None}


async def listed(
    parts: Parts, request: AnyRequest, wanted: RunQuery, *, status: int = 200, **said: Any
) -> Response[bytes]:
    reply, (flows, _), (clients, _) = await asyncio.gather(
        parts.asker.query("runs", run_page(wanted)),
        parts.asker.value("flows", queries.FlowList(), list[_Named]),
        parts.asker.value("clients", queries.ClientList(), list[_Named]),
    )
    found = msgspec.json.decode(reply.value)
    filters = shown_filters(request, wanted)
    kept = {name: text for name, text in filters.items() if text}
    older = f"/runs?{urlencode({**kept, 'cursor': found['next']})}" if found["next"] else None
    return html(
        "pages/runs.html",
        status=status,
        own_query=urlencode([*kept.items(), *([("cursor", wanted.cursor)] if wanted.cursor else [])]),
        seq=position(reply.seq),
        runs=[shapes.run_shape(run) for run in found["runs"]],
        filters=filters,
        flows=[{"id": flow.id, "name": flow.name} for flow in flows],
        workers=sorted({client.name for client in clients}),
        older=older,
        first=wanted.cursor is None,
        version=parts.version,
        **said,
    )


def routes(parts: Parts) -> list[Any]:
    @get("/runs")
    async def runs(request: AnyRequest) -> Response[bytes]:
        wanted = query(request, ListQuery, read=TIMES)
        return await listed(parts, request, wanted, told=told(wanted.asked))

    @post("/runs/chosen", status_code=303)
    async def chosen_runs(request: AnyRequest) -> Response[bytes]:
        wanted = query(request, ListQuery, read=TIMES)
        fields = await form(request)
        action = fields.get("action", [""])[-1]
        if action not in ACTIONS:
            message = f"must be one of {', '.join(ACTIONS)}"
            raise InvalidInput(f"action: {message}", [FieldError("action", message)])
        runs = chosen(fields)
        refused = await ask_each(parts, action, runs)
        if refused:
            asked = told(f"{action}.{len(runs) - len(refused)}") if len(runs) > len(refused) else ""
            return await listed(parts, request, wanted, status=409, told=asked, refused=refused)
        kept = [(name, text) for name, text in request.query_params.multi_items() if name != "asked"]
        return see(request, f"/runs?{urlencode([*kept, ('asked', f'{action}.{len(runs)}')])}")

    return [runs, chosen_runs]
