"""`/runs/{a}/diff/{b}`: two runs side by side."""

import asyncio
from typing import Any

from litestar import Response, get

from perfect_gateway import shapes
from perfect_gateway.api.diff import records
from perfect_gateway.comparison import compare
from perfect_gateway.pages.page import html
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest


def routes(parts: Parts) -> list[Any]:
    @get("/runs/{run_id:str}/diff/{other_id:str}")
    async def diff(request: AnyRequest) -> Response[bytes]:
        """`previous` instead of the first id: see the route of the same name in `api/diff`."""
        ours, theirs = await records(parts, request)
        found = await asyncio.to_thread(compare, ours, theirs, parts.clock())
        return html("pages/diff.html", diff=shapes.plain(found), version=parts.version)

    return [diff]
