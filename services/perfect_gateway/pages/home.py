"""`/`: what runs now, what went wrong since yesterday, how much was done, the flow library."""

import asyncio
from datetime import timedelta
from functools import lru_cache
from typing import Any

import msgspec
from litestar import Response, get

from perfect_gateway import schedules, shapes
from perfect_gateway.api.health import ask_all, system_health
from perfect_gateway.api.runs import STATE_SETS
from perfect_gateway.live import fragments
from perfect_gateway.pages.page import html, position
from perfect_gateway.parts import Parts
from perfect_schemas import queries
from perfect_schemas.views import FlowView, SummaryView

LIVE_RUNS = 24
FAILED_RUNS = 6
YESTERDAY = timedelta(days=1)
MOST_CARDS = 256  # some 10 KB each
_decode_flow = msgspec.json.Decoder(FlowView).decode


@lru_cache(MOST_CARDS)
def _card(flow: bytes) -> str:
    """Most flows are the same as when somebody looked last, and a page has many of them. flow: a FlowView as JSON."""
    return fragments.flow_card(_decode_flow(flow))


def routes(parts: Parts) -> list[Any]:
    @get("/")
    async def home() -> Response[bytes]:
        live = queries.RunPage(state=STATE_SETS["active"], limit=LIVE_RUNS)
        since = parts.clock() - YESTERDAY
        problems = queries.RunPage(state=STATE_SETS["problem"], since=since, limit=FAILED_RUNS)
        (flows, as_of), runs, failed, (summary, _), late, services = await asyncio.gather(
            parts.asker.value("flows", queries.FlowList(), list[msgspec.Raw]),
            parts.asker.query("runs", live),
            parts.asker.query("runs", problems),
            parts.asker.value("summary", queries.Summary(), SummaryView),
            schedules.late(parts.asker, since),
            ask_all(parts),
        )
        shown = msgspec.json.decode(runs.value)["runs"]
        return html(
            "pages/home.html",
            seq=position(None if as_of is None or runs.seq is None else min(as_of, runs.seq)),
            flows=(),
            cards=[_card(bytes(flow)) for flow in flows],
            live_runs=[shapes.run_shape(run) for run in shown],
            summary=shapes.plain(summary),
            late=late,
            failed=[shapes.run_shape(run) for run in msgspec.json.decode(failed.value)["runs"]],
            services=shapes.plain(system_health(services).services),
            version=parts.version,
        )

    return [home]
