"""Statistics as they are answered: all time from their tables, percentiles and parts from the roll-ups of the days."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from perfect_projector import view
from perfect_projector.merged_roll import Known, MergedRoll, MergedRolls
from perfect_projector.rollup import GROWTH
from perfect_projector.sql import select
from perfect_projector.welford import Summary
from perfect_schemas import queries as q
from perfect_schemas.envelope import utc_now
from perfect_schemas.ids import is_id
from perfect_schemas.views import ForecastView, StatisticsView, StatisticView

Cursor = Any
MOST_DAYS = 3650
_EVER = date(1970, 1, 1)


class Rolled(NamedTuple):
    """A row of the statement `rolled`. p50, p95, p99: numbers of buckets."""

    id: str
    measure: str
    part: str
    flow_name: str
    task_name: str | None
    mean: float
    m2: float
    sample_count: int
    least: float
    greatest: float
    last_day: date
    p50: int | None
    p95: int | None
    p99: int | None

    def value(self, place: int | None) -> float | None:
        """What stands in the middle of the bucket, as far as it was measured at all."""
        if place is None:
            return None
        middle = GROWTH ** (place - 0.5) if place else 0.0
        return min(max(middle, self.least), self.greatest)

    @property
    def std(self) -> float | None:
        return Summary(self.sample_count, self.mean, self.m2).std


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
    if query.by is not None:
        return _parts(cursor, narrow, query.by, since)
    known = (rolls or MergedRolls()).all(cursor, where, since, today)
    tasks = select(cursor, "task_statistics", narrow)
    flows = select(cursor, "flow_statistics", where) if query.task is None else []
    return StatisticsView(
        tasks=[_with_percentiles(view.statistic_of(row), known) for row in tasks],
        flows=[_with_phases(_with_percentiles(view.statistic_of(row), known), known) for row in flows],
    )


def _parts(cursor: Cursor, where: dict[str, Any], by: str, since: date) -> StatisticsView:
    begin = since if by == "day" else _EVER
    rows = (Rolled(*row) for row in select(cursor, "rolled", where, by=by, since=since, **{"from": begin}))
    parts = [_part(one, by) for one in rows if one.measure == "run"]
    return StatisticsView(
        tasks=[one for one in parts if one.task_name is not None],
        flows=[one for one in parts if one.task_name is None],
    )


def _with_percentiles(statistic: StatisticView, known: Known) -> StatisticView:
    one = known.get((statistic.id, "run"))
    if one is None:
        return statistic
    p50, p95, p99 = one.percentiles()
    return msgspec.structs.replace(statistic, p50_ms=p50, p95_ms=p95, p99_ms=p99)


def _with_phases(statistic: StatisticView, known: Known) -> StatisticView:
    queued, launch = (known.get((statistic.id, measure)) for measure in ("queued", "launch"))
    return msgspec.structs.replace(
        statistic,
        queued=queued.distribution() if queued else None,
        launch=launch.distribution() if launch else None,
        forecast=_forecast(
            *(known.get((statistic.id, f"eta_{name}")) for name in ("start", "half", "within"))
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


def _part(one: Rolled, by: str) -> StatisticView:
    return StatisticView(
        id=one.id,
        flow_name=one.flow_name,
        task_name=one.task_name,
        avg_duration_ms=one.mean,
        m2=one.m2,
        std_dev_ms=one.std,
        sample_count=one.sample_count,
        min_duration_ms=one.least,
        max_duration_ms=one.greatest,
        last_updated=datetime.combine(one.last_day, datetime.min.time(), UTC),
        p50_ms=one.value(one.p50),
        p95_ms=one.value(one.p95),
        p99_ms=one.value(one.p99),
        **{by: one.last_day if by == "day" else one.part},  # type: ignore[arg-type]
    )
