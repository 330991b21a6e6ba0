"""All flows as lists show them, kept up with each commit: definition, statistics of all time, the last runs."""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from perfect_projector import view
from perfect_projector.batch import Row
from perfect_projector.expectation import Expectations
from perfect_projector.forecast import curves_of
from perfect_projector.project import Draft
from perfect_projector.sql import select
from perfect_projector.values import instant
from perfect_schemas.codec import encode
from perfect_schemas.views import FlowView, RecentRun

RECENT = 20
_Key = tuple[datetime, str]  # created at, id: the order of runs


class _Recent(NamedTuple):
    key: _Key
    shown: RecentRun


class FlowShelf:
    """As of the last commit that it was told of. is_whole: False when a run that it shows has left the file, so that
    there may be an earlier one to be shown instead: it has to be made anew.
    """

    def __init__(
        self,
        flows: list[Row],
        statistics: list[Row],
        recent: list[Row],
        counts: list[Row],
        schedules: list[Row],
    ) -> None:
        """recent: rows of the statement `recent_runs`; counts: of `load_task_counts`."""
        self.is_whole = True
        self._flows = {row[0]: row for row in flows}
        self._statistics = {row[0]: row for row in statistics}
        self._recent: dict[str, dict[str, _Recent]] = {}
        self._counts = Expectations()
        self._counts.restore(counts)  # type: ignore[arg-type]
        self._views: dict[str, FlowView] = {}
        self._written: dict[str, tuple[FlowView, bytes]] = {}
        self._rules: dict[str, dict[str, str | None]] = {}  # flow → schedule's name → its rule, None: removed
        for row in schedules:
            self._rule(row)
        for flow_id, run_id, created_at, *rest in recent:
            self._put(flow_id, run_id, created_at, *rest)

    @classmethod
    def load(cls, cursor: Any) -> "FlowShelf":
        names = ("load_flows", "load_flow_statistics", "recent_runs", "load_task_counts", "load_schedules")
        return cls(*(select(cursor, name) for name in names))

    def note(self, draft: Draft) -> None:
        """After the commit of the batch."""
        batch = draft.batch
        if batch.again and any(not recent.keys().isdisjoint(batch.again) for recent in self._recent.values()):
            self.is_whole = False
        for flow_id, counts in draft.completed:
            self._counts.completed(flow_id, counts)
        for rows in (batch.new_runs, batch.runs):
            for row in rows:
                self._put(row[1], row[0], row[7], row[5], row[8], row[10])
        for row in batch.flows:
            self._flows[row[0]] = row
            self._views.pop(row[0], None)
        for row in batch.schedules:
            self._rule(row)
        for rows in (batch.new_flow_statistics, batch.flow_statistics):
            for row in rows:
                self._statistics[row[0]] = row
                self._views.pop(row[0], None)

    def flows(self, *, hidden: bool) -> list[FlowView]:
        """By name."""
        found = sorted(map(self._view, self._flows), key=lambda flow: flow.name)
        return [flow for flow in found if hidden or not flow.hidden]

    def written(self, *, hidden: bool) -> msgspec.Raw:
        """`flows` as JSON: what has not changed since is not written again."""
        return msgspec.Raw(b"[%b]" % b",".join(map(self._json, self.flows(hidden=hidden))))

    def flow(self, name: str) -> FlowView | None:
        """By id or name."""
        if name in self._flows:
            return self._view(name)
        return next((self._view(key) for key, row in self._flows.items() if row[1] == name), None)

    def detailed(self, flow: FlowView) -> FlowView:
        """With how often each task runs, and how its last runs progressed."""
        statistics = self._statistics.get(flow.id)
        counts = self._counts.counts.get(flow.id)
        return msgspec.structs.replace(
            flow,
            expected_counts={
                task.id: sum(count.get(task.id, 0) for count in counts) / len(counts) for task in flow.tasks
            }
            if counts
            else {},
            curves=curves_of(statistics[-1]) if statistics else [],
        )

    def _json(self, flow: FlowView) -> bytes:
        known = self._written.get(flow.id)
        if known is None or known[0] is not flow:
            known = self._written[flow.id] = flow, encode(flow)
        return known[1]

    def _rule(self, row: Row) -> None:
        """row: of `load_schedules`. Only what lists show makes a list anew."""
        rules = self._rules.setdefault(row[1], {})
        rule = None if row[9] else row[4]
        if row[3] not in rules or rules[row[3]] != rule:
            rules[row[3]] = rule
            self._views.pop(row[1], None)

    def _put(
        self,
        flow_id: str,
        run_id: str,
        created_at: datetime,
        state: str,
        start_time: datetime | None,
        duration_ms: int | None,
    ) -> None:
        recent = self._recent.setdefault(flow_id, {})
        key = instant(created_at), run_id
        recent[run_id] = _Recent(
            key,  # type: ignore[arg-type]
            RecentRun(id=run_id, state=state, start_time=instant(start_time), duration_ms=duration_ms),
        )
        if len(recent) > RECENT:
            del recent[min(recent.values()).shown.id]
        self._views.pop(flow_id, None)

    def _view(self, flow_id: str) -> FlowView:
        found = self._views.get(flow_id)
        if found is None:
            recent = sorted(self._recent.get(flow_id, {}).values(), key=_key, reverse=True)
            statistics: Any = self._statistics.get(flow_id)
            rules = self._rules.get(flow_id)
            found = self._views[flow_id] = view.flow_of(
                (*self._flows[flow_id], *(statistics[2:8] if statistics else (None,) * 6)),
                [one.shown for one in recent],
                [rule for _, rule in sorted(rules.items()) if rule is not None] if rules else None,
            )
        return found


def _key(recent: _Recent) -> _Key:
    return recent.key
