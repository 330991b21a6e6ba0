"""Two versions of a flow compared by how long their runs and tasks took: pure, from the statistics by version.

A difference is clear when it is three standard errors or more (B. L. Welch's statistic, Biometrika 34, 1947), which
takes two samples on either side.
"""

import math
from collections.abc import Iterable

import msgspec

from perfect_schemas.commands import FlowVersion
from perfect_schemas.errors import FieldError, InvalidInput, NotFound
from perfect_schemas.views import StatisticsView, StatisticView

CURRENT = "current"
PREVIOUS = "previous"
CLEAR_ERRORS = 3.0
LEAST_SAMPLES = 2


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in ms of completed executions; percentiles within 1 %."""

    sample_count: int
    avg_ms: float
    std_dev_ms: float | None
    p50_ms: float | None
    p95_ms: float | None


class DurationDiff(msgspec.Struct, frozen=True, kw_only=True):
    """name: of the task; of the flow itself for the whole run. a, b: None when nothing completed in that version.

    delta_ms, delta_percent: by how much B's mean is above A's. is_clear: more than chance.
    """

    name: str
    a: Measured | None
    b: Measured | None
    delta_ms: float | None
    delta_percent: float | None
    is_clear: bool


class VersionDiff(msgspec.Struct, frozen=True, kw_only=True):
    """tasks: in the order of their share in the difference, the greatest first."""

    flow_id: str
    flow_name: str
    a: FlowVersion
    b: FlowVersion
    run: DurationDiff
    tasks: list[DurationDiff]


def chosen(versions: list[FlowVersion], wanted: str) -> FlowVersion:
    """wanted: a version or the beginning of one, `current`, or `previous`. Raises NotFound, InvalidInput."""
    if wanted == CURRENT:
        return versions[0]
    if wanted == PREVIOUS:
        if len(versions) < 2:
            raise NotFound(f"there is no previous version: {versions[0].version} is the only one")
        return versions[1]
    exact = [one for one in versions if one.version == wanted]
    found = exact or [one for one in versions if wanted and one.version.startswith(wanted)]
    if not found:
        known = ", ".join(one.version for one in versions[:10])
        raise NotFound(f"there is no version {wanted!r}; there are {known}")
    if len(found) > 1:
        message = f"{wanted!r} is the beginning of {len(found)} versions"
        raise InvalidInput(message, [FieldError("version", message)])
    return found[0]


def diff(
    flow_id: str, flow_name: str, a: FlowVersion, b: FlowVersion, statistics: StatisticsView
) -> VersionDiff:
    """statistics: by flow version."""
    runs = _by_version(statistics.flows)
    tasks: dict[str, list[StatisticView]] = {}
    for one in statistics.tasks:
        if one.flow_version in (a.version, b.version):
            tasks.setdefault(one.task_name or "", []).append(one)
    compared = [
        compare(name, known.get(a.version), known.get(b.version))
        for name, rows in tasks.items()
        for known in [_by_version(rows)]
    ]
    return VersionDiff(
        flow_id=flow_id,
        flow_name=flow_name,
        a=a,
        b=b,
        run=compare(flow_name, runs.get(a.version), runs.get(b.version)),
        tasks=sorted(compared, key=lambda one: -abs(one.delta_ms or 0)),
    )


def compare(name: str, a: StatisticView | None, b: StatisticView | None) -> DurationDiff:
    delta = b.avg_duration_ms - a.avg_duration_ms if a is not None and b is not None else None
    percent = 100 * delta / a.avg_duration_ms if delta is not None and a and a.avg_duration_ms > 0 else None
    return DurationDiff(
        name=name,
        a=_measured(a),
        b=_measured(b),
        delta_ms=delta,
        delta_percent=percent,
        is_clear=a is not None and b is not None and _is_clear(a, b),
    )


def _is_clear(a: StatisticView, b: StatisticView) -> bool:
    if min(a.sample_count, b.sample_count) < LEAST_SAMPLES:
        return False
    error = math.sqrt(sum(one.m2 / (one.sample_count - 1) / one.sample_count for one in (a, b)))
    delta = abs(b.avg_duration_ms - a.avg_duration_ms)
    return delta > 0 and delta >= CLEAR_ERRORS * error


def _by_version(rows: Iterable[StatisticView]) -> dict[str, StatisticView]:
    return {row.flow_version: row for row in rows if row.flow_version is not None}


def _measured(one: StatisticView | None) -> Measured | None:
    if one is None:
        return None
    return Measured(
        sample_count=one.sample_count,
        avg_ms=one.avg_duration_ms,
        std_dev_ms=one.std_dev_ms,
        p50_ms=one.p50_ms,
        p95_ms=one.p95_ms,
    )
