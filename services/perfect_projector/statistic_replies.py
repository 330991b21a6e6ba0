"""Statistics as they are answered: all time from their tables, percentiles and parts from the roll-ups of the days."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from perfect_projector import view
from perfect_projector.merged_roll import Known, MergedRoll, MergedRolls
from perfect_projector.sql import select
from perfect_schemas import queries as q
from perfect_schemas.envelope import utc_now
from perfect_schemas.ids import is_id
from perfect_schemas.views import ForecastView, StatisticsView, StatisticView, TrendDay

Cursor = Any
MOST_DAYS = 3650


def of_flow(flow: str) -> dict[str, Any]:
    """The condition on a flow, by id or name."""
    return {"flow_id": {"flow_id": flow}} if is_id(flow) else {"flow_name": {"flow_name": flow}}


def statistics(cursor: Cursor, query: q.Statistics, rolls: MergedRolls | None = None) -> StatisticsView:
    """rolls: what is kept from one query to the next."""
    where = {} if query.flow is None else of_flow(query.flow)
    narrow = where if query.task is None else {**where, "task": {"task": query.task}}
    days = min(max(query.days, 1), MOST_DAYS)
    today = utc_now().date()
    since = today - timedelta(days=days - 1)
    rolls = rolls or MergedRolls()
    if query.by is not None:
        begin = since if query.by == "day" else None
        wanted = {**narrow, "run": {}, **({"flows": {}} if query.of == "flows" else {})}
        found = rolls.all(cursor, wanted, since, today, by=query.by, begin=begin)
        return _parts(found, query.by)
    only = {"flows": {}} if query.of == "flows" else {}
    known = rolls.all(cursor, {**where, **only}, since, today)
    tasks = [] if query.of == "flows" else select(cursor, "task_statistics", narrow)
    flows = select(cursor, "flow_statistics", where) if query.task is None else []
    return StatisticsView(
        tasks=[_with_percentiles(view.statistic_of(row), known) for row in tasks],
        flows=[_with_phases(_with_percentiles(view.statistic_of(row), known), known) for row in flows],
        trends=_trends(rolls.all(cursor, {**narrow, "run": {}, **only}, since, today, by="day", begin=since))
        if query.trends
        else {},
    )


def _trends(known: Known) -> dict[str, list[TrendDay]]:
    """known: by day."""
    trends: dict[str, list[TrendDay]] = {}
    for one in known.values():
        p50, p95, _ = one.percentiles()
        trends.setdefault(one.id, []).append(TrendDay(day=one.last_day, p50_ms=p50, p95_ms=p95))
    return trends


def _parts(known: Known, by: str) -> StatisticsView:
    rolls = sorted(known.values(), key=lambda one: (one.flow_name, one.task_name or "", one.part))
    parts = [_part(one, by) for one in rolls]
    return StatisticsView(
        tasks=[one for one in parts if one.task_name is not None],
        flows=[one for one in parts if one.task_name is None],
    )


def _with_percentiles(statistic: StatisticView, known: Known) -> StatisticView:
    one = known.get((statistic.id, "run", ""))
    if one is None:
        return statistic
    p50, p95, p99 = one.percentiles()
    return msgspec.structs.replace(statistic, p50_ms=p50, p95_ms=p95, p99_ms=p99)


def _with_phases(statistic: StatisticView, known: Known) -> StatisticView:
    queued, launch = (known.get((statistic.id, measure, "")) for measure in ("queued", "launch"))
    return msgspec.structs.replace(
        statistic,
        queued=queued.distribution() if queued else None,
        launch=launch.distribution() if launch else None,
        forecast=_forecast(
            *(known.get((statistic.id, f"eta_{name}", "")) for name in ("start", "half", "within"))
        ),
    )


def _forecast(
    start: MergedRoll | None, half: MergedRoll | None, within: MergedRoll | None
) -> ForecastView | None:
    if start is None or within is None or (error := start.percentiles()[0]) is None:
        return None
    return ForecastView(
        runs=start.summary.count,
        median_error_percent=error,
        within_p90_percent=within.summary.mean,
        half_median_error_percent=half.percentiles()[0] if half else None,
    )


def _part(one: MergedRoll, by: str) -> StatisticView:
    summary = one.summary
    p50, p95, p99 = one.percentiles()
    return StatisticView(
        id=one.id,
        flow_name=one.flow_name,
        task_name=one.task_name,
        avg_duration_ms=summary.mean,
        m2=summary.m2,
        std_dev_ms=summary.std,
        sample_count=summary.count,
        min_duration_ms=summary.min,
        max_duration_ms=summary.max,
        last_updated=datetime.combine(one.last_day, datetime.min.time(), UTC),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        **{by: one.last_day if by == "day" else one.part},  # type: ignore[arg-type]
    )
