"""A run's report as one HTML file."""

from typing import Any

import msgspec
from litestar import Response, get

import perfect_ui
from perfect_gateway.pages.report import file_name, report
from perfect_gateway.parts import Parts
from perfect_gateway.wire import AnyRequest, query, run_id

HTML = "text/html"


class ReportQuery(msgspec.Struct, frozen=True, kw_only=True):
    """download: as a file to be saved, instead of one to be looked at."""

    download: bool = False


def routes(parts: Parts) -> list[Any]:
    @get(
        "/api/engine/runs/{run_id:str}/report",
        opt={
            "query": ReportQuery,
            "answers": {200: None},
            "kinds": {"text/html": "One file that needs no network."},
        },
    )
    async def run_report(request: AnyRequest) -> Response[bytes]:
        """Everything about the run in one HTML file that needs no network."""
        wanted = query(request, ReportQuery)
        text, run = await report(parts, run_id(request))
        shown = "attachment" if wanted.download else "inline"
        headers = {
            "cache-control": "no-store",
            "content-disposition": f'{shown}; filename="{file_name(run)}"',
            "content-security-policy": f"{perfect_ui.report_policy()}; frame-ancestors 'none'",
        }
        return Response(text.encode(), media_type=HTML, headers=headers)

    return [run_report]
