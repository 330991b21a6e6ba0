"""Named limits as the page shows them: how many are in of how many, who they are, who waits and since when."""

from typing import Any

import perfect_ui
from perfect_gateway import shapes
from perfect_gateway.ask import Asker
from perfect_schemas import commands
from perfect_schemas.commands import LimitView

FLOW = "flow:"
MOST_SHOWN = 50  # holders, and those who wait, of one limit


async def context(asker: Asker) -> dict[str, Any]:
    found = await asker.command("engine", "limits", commands.ShowLimits(), list[LimitView])
    return {"limits": [shape(one) for one in found]}


def shape(limit: LimitView) -> dict[str, Any]:
    """`used`: slots that are taken, or of a rate those that have not come back. `flow`: of a limit on a flow's runs."""
    is_rate = limit.slot_decay_per_second > 0
    return {
        **shapes.plain(limit),
        "is_rate": is_rate,
        "used": limit.spent if is_rate else sum(one.occupy for one in limit.holders),
        "flow": limit.name.removeprefix(FLOW) if limit.name.startswith(FLOW) else "",
        "holders": [_slot(one) for one in limit.holders[:MOST_SHOWN]],
        "waiting": [_slot(one) for one in limit.waiting[:MOST_SHOWN]],
        "more_holders": max(len(limit.holders) - MOST_SHOWN, 0),
        "more_waiting": max(len(limit.waiting) - MOST_SHOWN, 0),
    }


async def drawn(asker: Asker, _: int) -> str:
    return perfect_ui.render("parts/limits.html", **await context(asker))


def _slot(one: Any) -> dict[str, Any]:
    return {**shapes.plain(one), "run_id": one.holder.run_id, "key": one.holder.key}
