"""`/`: what runs now, what went wrong since yesterday, how much was done, the flow library."""

import asyncio
from typing import Any

import msgspec
from litestar import Response, get

from perfect_gateway import glance, shapes
from perfect_gateway.api.runs import STATE_SETS
from perfect_gateway.flow_cards import card
from perfect_gateway.pages.page import html, position
from perfect_gateway.parts import Parts
from perfect_schemas import queries
from perfect_schemas.views import SummaryView

LIVE_RUNS = 24
MOST_FLOWS = 50  # the library has them all


def routes(parts: Parts) -> list[Any]:
    @get("/")
    async def home() -> Response[bytes]:
        live = queries.RunPage(state=STATE_SETS["active"], limit=LIVE_RUNS)
        (flows, as_of), runs, (summary, _), seen = await asyncio.gather(
            parts.asker.value("flows", queries.FlowList(), list[msgspec.Raw]),
            parts.asker.query("runs", live),
            parts.asker.value("summary", queries.Summary(), SummaryView),
            glance.context(parts),
        )
        shown = msgspec.json.decode(runs.value)["runs"]
        return html(
            "pages/home.html",
            seq=position(None if as_of is None or runs.seq is None else min(as_of, runs.seq)),
            flows=(),
            cards=[card(bytes(flow)) for flow in flows[:MOST_FLOWS]],
            known=len(flows),
            live_runs=[shapes.run_shape(run) for run in shown],
            summary=shapes.plain(summary),
            version=parts.version,
            **seen,
        )

    return [home]
