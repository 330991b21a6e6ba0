"""The versions of a flow as its page shows them: each with how long its runs took, beside the version before."""

import asyncio

import msgspec

from perfect_gateway.api.versions import EVER_DAYS, versions_of
from perfect_gateway.parts import Parts
from perfect_gateway.version_diff import DurationDiff, compare
from perfect_schemas import queries
from perfect_schemas.commands import FlowVersion
from perfect_schemas.errors import NotFound, ServiceUnavailable
from perfect_schemas.views import StatisticsView

SHOWN = 10


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """run: its runs (b) beside those of the version before it that has completed any (a)."""

    version: FlowVersion
    run: DurationDiff


async def version_history(parts: Parts, flow_id: str) -> list[Shown]:
    """The current one first; empty while the registry is away: the page tells of the rest."""
    try:
        versions, (statistics, _) = await asyncio.gather(
            versions_of(parts, flow_id),
            parts.asker.value(
                "statistics",
                queries.Statistics(flow=flow_id, by="flow_version", days=EVER_DAYS),
                StatisticsView,
            ),
        )
    except (NotFound, ServiceUnavailable):
        return []
    return shown(versions, statistics)


def shown(versions: list[FlowVersion], statistics: StatisticsView) -> list[Shown]:
    """versions: newest first."""
    runs = {one.flow_version: one for one in statistics.flows}
    found: list[Shown] = []
    before = None
    for version in reversed(versions):
        now = runs.get(version.version)
        found.append(Shown(version=version, run=compare("", before, now)))
        before = now or before
    return found[::-1][:SHOWN]
