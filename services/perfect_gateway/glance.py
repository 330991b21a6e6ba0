"""What home tells at a glance: what failed since yesterday, the services' health and lag, what is late. Moves while somebody
looks: when a run or a schedule does, and when a service says that its health is another one.
"""

import asyncio
from datetime import timedelta
from typing import Any

import perfect_ui
from perfect_gateway import schedules, shapes
from perfect_gateway.api.health import ask_all, system_health
from perfect_gateway.api.runs import STATE_SETS
from perfect_gateway.parts import Parts
from perfect_schemas import queries

FAILED_RUNS = 6
YESTERDAY = timedelta(days=1)
WITHIN_S = 0.5  # so long is the read model waited for
PARTS = ("parts/home_failed.html", "parts/services.html", "parts/home_late.html")


async def context(parts: Parts, seq: int = 0) -> dict[str, Any]:
    """seq: of EVENTS; failed runs are as of it, or later."""
    since = parts.clock() - YESTERDAY
    problems = queries.RunPage(state=STATE_SETS["problem"], since=since, limit=FAILED_RUNS)
    failed, late, services = await asyncio.gather(
        parts.asker.value_when("runs", problems, dict, lambda _, as_of: as_of >= seq, within_s=WITHIN_S),
        schedules.late(parts.asker, since),
        ask_all(parts),
    )
    return {
        "failed": [shapes.run_shape(run) for run in failed["runs"]],
        "late": late,
        "services": shapes.plain(system_health(services).services),
    }


async def drawn(parts: Parts, seq: int) -> str:
    found = await context(parts, seq)
    return "".join(perfect_ui.render(part, **found) for part in PARTS)
