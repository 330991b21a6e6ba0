"""`/sql`: a query, its result, the schema and the kept queries. Everything is a plain form; it works without script."""

import asyncio
from typing import Any, get_args
from urllib.parse import urlencode

import msgspec
from litestar import Response, get, post

from perfect_gateway import shapes
from perfect_gateway.api import sql as api
from perfect_gateway.pages.page import form, html, see
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, json, query
from perfect_schemas.errors import PerfectError
from perfect_schemas.queries import SqlTable

EXAMPLES = [
    {"name": name, "text": text}
    for name, text in (
        ("Runs by day", "FROM v_daily\nWHERE day > current_date - 30\nORDER BY day, flow"),
        ("Newest runs", "SELECT created_at, flow, state, duration, worker, run_id\nFROM v_runs\nORDER BY created_at DESC\nLIMIT 50"),
        ("Last failures", "SELECT failed_at, flow, error_type, error_message, failed_task, run_id\nFROM v_failures\nORDER BY failed_at DESC\nLIMIT 50"),
        ("Where the time goes", "SELECT flow || ' / ' || task AS task, epoch_ms(total) / 1000 AS seconds, samples, p50_ms, p95_ms\nFROM v_task_durations\nORDER BY total DESC\nLIMIT 20"),
        ("Slowest task runs", "SELECT flow, task, duration_ms, mean_ms, sigmas, start_time, run_id\nFROM v_slowest_tasks\nLIMIT 50"),
        ("How late schedules fire", "SELECT flow, schedule, count(*) AS fires, round(avg(late_ms)) AS mean_late_ms, max(late_ms) AS most_late_ms\nFROM v_schedule_adherence\nWHERE decision = 'fired' AND NOT backfill\nGROUP BY ALL\nORDER BY most_late_ms DESC"),
        ("Errors in logs", "SELECT logged_at, flow, message, run_id\nFROM v_log_lines\nWHERE level IN ('ERROR', 'CRITICAL')\nORDER BY seq DESC, n DESC\nLIMIT 100"),
        ("Events by type", "SELECT type, count(*) AS events\nFROM events\nGROUP BY type\nORDER BY events DESC"),
    )
]  # fmt: skip

FORMATS: dict[str, api.Format] = {name: name for name in get_args(api.Format)}


class SqlPageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the editor: a text, a saved query, or an example (from 1)."""

    query: str | None = None
    saved: str | None = None
    example: int | None = None


async def tables_of(parts: Parts) -> tuple[list[SqlTable], str]:
    """What can be queried, or why that is not known now."""
    try:
        return (await parts.asker.snapshot()).tables, ""
    except PerfectError as error:
        return [], error.detail


async def context_of(parts: Parts) -> dict[str, Any]:
    (tables, no_tables), saved = await asyncio.gather(tables_of(parts), api.saved(parts))
    return {
        "tables": shapes.plain(tables),
        "no_tables": no_tables,
        "saved": shapes.plain(saved),
        "examples": EXAMPLES,
        "version": parts.version,
        "name": "",
        "problem": None,
        "result": None,
    }


def routes(parts: Parts) -> list[Any]:
    @get("/sql")
    async def page(request: AnyRequest) -> Response[bytes]:
        wanted = query(request, SqlPageQuery)
        context = await context_of(parts)
        text = wanted.query if wanted.query is not None else EXAMPLES[0]["text"]
        if wanted.example is not None and 1 <= wanted.example <= len(EXAMPLES):
            text = EXAMPLES[wanted.example - 1]["text"]
        for one in context["saved"]:
            if one["name"] == wanted.saved:
                text, context["name"] = one["text"], one["name"]
        return html("pages/sql.html", **context, query=text)

    @post("/sql", status_code=200)
    async def run(request: AnyRequest) -> Response[bytes]:
        fields = {name: values[-1] for name, values in (await form(request)).items()}
        text = fields.get("query", "")
        problem = result = None
        try:
            if (wanted := FORMATS.get(fields.get("format", ""))) is not None:
                found = await api.result(
                    parts, request, text, [], wanted, None if wanted != "json" else 10_000
                )
                if wanted != "json":
                    return api.file_answer(found, wanted)
                return json(
                    api.answer_of(found),
                    headers={"content-disposition": 'attachment; filename="result.json"'},
                )
            result = shapes.plain(api.answer_of(await api.result(parts, request, text, [], "json", None)))
        except PerfectError as error:
            problem = error.problem()
        context = await context_of(parts)
        status = problem.status if problem is not None else 200
        shown = context | {"problem": problem, "result": result, "name": fields.get("name", "")}
        return html("pages/sql.html", status=status, **shown, query=text)

    @post("/sql/saved", status_code=303)
    async def save(request: AnyRequest) -> Response[bytes]:
        fields = {name: values[-1] for name, values in (await form(request)).items()}
        name, text = fields.get("name", "").strip(), fields.get("query", "")
        try:
            await api.save(parts, name, text)
        except PerfectError as error:
            problem = error.problem()
            shown = await context_of(parts) | {"problem": problem, "name": name}
            return html("pages/sql.html", status=problem.status, **shown, query=text)
        return see(request, f"/sql?{urlencode({'saved': name})}")

    @post("/sql/saved/remove", status_code=303)
    async def remove(request: AnyRequest) -> Response[bytes]:
        await api.forget(parts, (await form(request)).get("name", [""])[-1])
        return see(request, "/sql")

    return [page, run, save, remove]
