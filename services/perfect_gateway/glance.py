"""What home tells at a glance: what failed since yesterday, the services' health and lag, what is late. Moves while somebody
looks: when a run or a schedule does, and when a service says that its health is another one.
"""

import asyncio
import contextlib
from datetime import timedelta
from typing import Any

import perfect_ui
from perfect_gateway import schedules, shapes
from perfect_gateway.api.health import ask_all, system_health
from perfect_gateway.api.runs import STATE_SETS
from perfect_gateway.parts import Parts
from perfect_schemas import queries
from perfect_schemas.commands import Health
from perfect_schemas.errors import PerfectError

FAILED_RUNS = 6
YESTERDAY = timedelta(days=1)
WITHIN_S = 0.5  # so long is the read model waited for


async def context(parts: Parts, seq: int = 0) -> dict[str, Any]:
    """seq: of EVENTS; failed runs are as of it, or later."""
    told, services = await asyncio.gather(_told(parts, seq), ask_all(parts))
    return {**told, **_health(services)}


async def drawn(parts: Parts, seq: int) -> str:
    """Of a system without its projector, the health alone."""
    services = await ask_all(parts)
    html = perfect_ui.render("parts/services.html", **_health(services))
    if any(one.name == "projector" and one.status == "missing" for one in services):
        return html
    with contextlib.suppress(PerfectError):
        told = await _told(parts, seq)
        for part in ("parts/home_failed.html", "parts/home_late.html"):
            html += perfect_ui.render(part, **told)
    return html


async def _told(parts: Parts, seq: int) -> dict[str, Any]:
    since = parts.clock() - YESTERDAY
    problems = queries.RunPage(state=STATE_SETS["problem"], since=since, limit=FAILED_RUNS)
    failed, late = await asyncio.gather(
        parts.asker.value_when("runs", problems, dict, lambda _, as_of: as_of >= seq, within_s=WITHIN_S),
        schedules.late(parts.asker, since),
    )
    return {"failed": [shapes.run_shape(run) for run in failed["runs"]], "late": late}


def _health(services: list[Health]) -> dict[str, Any]:
    return {"services": shapes.plain(system_health(services).services)}
