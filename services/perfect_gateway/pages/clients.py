"""`/clients`: who executes runs, and the worker processes that launchers start and stop, by host."""

import asyncio
from typing import Any

from litestar import Response, get, post

from perfect_gateway import clients, hosts
from perfect_gateway.pages.page import html, see
from perfect_gateway.pages.schedules import now_seq, submitted
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest
from perfect_schemas import commands
from perfect_schemas.commands import ProcessStatus
from perfect_schemas.errors import InvalidInput, NotFound, ServiceUnavailable

BY = "page"
COMMANDS = {"start": commands.StartProcess, "stop": commands.StopProcess}


async def page_context(parts: Parts) -> dict[str, Any]:
    seq, files, found = await asyncio.gather(
        now_seq(parts), clients.files(parts.asker), clients.context(parts.asker)
    )
    return {"seq": seq, "files": files, "version": parts.version, "file": "", "host": "", **found}


def routes(parts: Parts) -> list[Any]:
    @get("/clients")
    async def all_clients() -> Response[bytes]:
        return html("pages/clients.html", **await page_context(parts))

    @post("/clients/{verb:str}", status_code=303)
    async def act(request: AnyRequest) -> Response[bytes]:
        """start, stop: `file`, below the workflows folder of `host`; or `host:file` in one."""
        verb, fields = str(request.path_params["verb"]), await submitted(request)
        if verb not in COMMANDS:
            raise NotFound(f"a client process cannot be asked to {verb[:40]}; it can be started and stopped")
        named, _, file = fields.get("file", "").rpartition(":")
        try:
            host = await hosts.choose(
                parts.asker, named or fields.get("host"), parts.settings.launcher_name, file=file
            )
            await hosts.command(parts.asker, host, verb, COMMANDS[verb](file=file, by=BY), ProcessStatus)
        except (InvalidInput, NotFound, ServiceUnavailable) as error:
            context = await page_context(parts)
            problems = [{"field": "file", "message": error.detail}]
            return html(
                "pages/clients.html",
                status=422,
                **{**context, "file": file[:200], "host": (named or fields.get("host", ""))[:200]},
                problems=problems,
            )
        return see(request, "/clients")

    return [all_clients, act]
