"""The statistics of all tasks and flows, in memory as in the file, and the warnings that follow from them."""

from datetime import datetime
from typing import Any

import msgspec

from perfect_projector import outlier, welford
from perfect_projector.batch import Batch, Row
from perfect_projector.forecast import Curves
from perfect_projector.outlier import Finding, Thresholds
from perfect_projector.values import instant, text, timestamp
from perfect_projector.welford import Summary


class Statistic(msgspec.Struct, frozen=True):
    """id: of the task, or of the flow with `task_name` None."""

    id: str
    flow_id: str
    flow_name: str
    task_name: str | None
    summary: Summary
    last_updated: datetime
    last_seq: int

    def row(self, curves: Curves) -> Row:
        """In the order of the columns in `insert_task_statistics` or `insert_flow_statistics`."""
        summary = self.summary
        values = (
            summary.mean,
            summary.m2,
            summary.count,
            summary.min,
            summary.max,
            timestamp(self.last_updated),
            self.last_seq,
        )
        if self.task_name is None:
            return (self.id, self.flow_name, *values, text(curves.of(self.id)))
        return (self.id, self.flow_id, self.flow_name, self.task_name, *values)


def of_task_row(row: Row) -> Statistic:
    task_id, flow_id, flow_name, task_name, *values = row
    return _statistic(task_id, flow_id, flow_name, task_name, values)


def of_flow_row(row: Row) -> Statistic:
    flow_id, flow_name, *values, _curves = row
    return _statistic(flow_id, flow_id, flow_name, None, values)


def _statistic(key: str, flow_id: str, flow_name: str, task_name: str | None, values: list[Any]) -> Statistic:
    mean, m2, count, least, greatest, updated, seq = values
    summary = Summary(count, mean, m2, least, greatest)
    return Statistic(key, flow_id, flow_name, task_name, summary, instant(updated), seq)  # type: ignore[arg-type]


class Book:
    """id → statistic. `changed`: the ids that the present batch has touched. `stored`: those that have a row."""

    def __init__(self, thresholds: Thresholds = outlier.DEFAULTS) -> None:
        self.thresholds = thresholds
        self.statistics: dict[str, Statistic] = {}
        self.changed: set[str] = set()
        self.stored: set[str] = set()

    def restore(self, statistics: list[Statistic]) -> None:
        self.statistics = {statistic.id: statistic for statistic in statistics}
        self.stored = set(self.statistics)

    def observe(
        self,
        key: str,
        *,
        flow_id: str,
        flow_name: str,
        task_name: str | None,
        duration_ms: int,
        at: datetime,
        seq: int,
    ) -> tuple[Finding | None, Summary]:
        """Judge one completion by what came before it, then let it join. Returns the verdict and what came before."""
        known = self.statistics.get(key)
        before = known.summary if known else welford.EMPTY
        self.statistics[key] = Statistic(
            key, flow_id, flow_name, task_name, welford.add(before, duration_ms), at, seq
        )
        self.changed.add(key)
        return outlier.judge(duration_ms, before, self.thresholds), before

    def take_rows(self, batch: Batch, curves: Curves) -> None:
        """Hand over the rows of what changed since the last call: the batch will be committed."""
        for key in self.changed:
            statistic = self.statistics[key]
            if statistic.task_name is None:
                rows = batch.flow_statistics if key in self.stored else batch.new_flow_statistics
            else:
                rows = batch.task_statistics if key in self.stored else batch.new_task_statistics
            rows.append(statistic.row(curves))
        self.stored |= self.changed
        self.changed.clear()
