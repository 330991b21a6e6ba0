"""The versions of a flow as its page shows them: each with how long its runs took, beside the version before."""

import msgspec

from perfect_gateway.api.versions import versions_of
from perfect_gateway.parts import Parts
from perfect_gateway.version_diff import DurationDiff, compare
from perfect_schemas.commands import FlowVersion
from perfect_schemas.errors import NotFound, ServiceUnavailable
from perfect_schemas.views import StatisticView

SHOWN = 10


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """run: its runs (b) beside those of the version before it that has completed any (a)."""

    version: FlowVersion
    run: DurationDiff


async def known_versions(parts: Parts, flow: str) -> list[FlowVersion]:
    """The current one first; empty while the registry is away: the page tells of the rest. flow: id or name."""
    try:
        return await versions_of(parts, flow)
    except (NotFound, ServiceUnavailable):
        return []


def shown(versions: list[FlowVersion], statistics: list[StatisticView]) -> list[Shown]:
    """versions: newest first. statistics: of the flow, by version."""
    runs = {one.flow_version: one for one in statistics}
    found: list[Shown] = []
    before = None
    for version in reversed(versions):
        now = runs.get(version.version)
        found.append(Shown(version=version, run=compare("", before, now)))
        before = now or before
    return found[::-1][:SHOWN]
