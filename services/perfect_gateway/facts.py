"""What a fold of one run does not know: its flow's tasks with their weights, and how long they take by history.

Asked of the projector once a flow and kept until the flow changes or a run of it ends.
"""

import msgspec

from perfect_gateway.ask import Asker
from perfect_schemas import queries
from perfect_schemas.errors import PerfectError
from perfect_schemas.forecast import Curve
from perfect_schemas.progress import PlannedTask
from perfect_schemas.views import FlowView, StatisticsView

SAMPLES = 3  # from so many on, the mean of history replaces the author's estimate


class Usual(msgspec.Struct, frozen=True, kw_only=True):
    """How long a task takes: what a duration is held against."""

    avg_duration_ms: float
    std_dev_ms: float | None
    sample_count: int


class FlowFacts(msgspec.Struct, frozen=True, kw_only=True):
    """expected_ms: task id → mean by history, else the author's estimate. run_expected_ms: of the whole run.
    curves: how the last runs progressed. usual: task id → how long it takes by history.
    """

    plan: list[PlannedTask] = []
    weights: dict[str, float] = {}
    expected_ms: dict[str, float] = {}
    run_expected_ms: float | None = None
    curves: list[Curve] = []
    usual: dict[str, Usual] = {}


NO_FACTS = FlowFacts()


def facts_of(flow: FlowView, statistics: StatisticsView) -> FlowFacts:
    expected = {task.id: float(task.estimated_time) for task in flow.tasks if task.estimated_time is not None}
    expected |= {row.id: row.avg_duration_ms for row in statistics.tasks if row.sample_count >= SAMPLES}
    whole = flow.statistics
    return FlowFacts(
        plan=[
            PlannedTask(task.id, task.weight, flow.expected_counts.get(task.id, 1.0)) for task in flow.tasks
        ],
        weights={task.id: task.weight for task in flow.tasks},
        expected_ms=expected,
        run_expected_ms=whole.avg_duration_ms if whole and whole.sample_count >= SAMPLES else None,
        curves=flow.curves,
        usual={
            row.id: Usual(
                avg_duration_ms=row.avg_duration_ms,
                std_dev_ms=row.std_dev_ms,
                sample_count=row.sample_count,
            )
            for row in statistics.tasks
        },
    )


class FlowBook:
    """What is known stays in use while it is asked for anew: a run's progress must not jump meanwhile."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._known: dict[str, FlowFacts] = {}
        self._stale: set[str] = set()

    def known(self, flow_id: str) -> FlowFacts | None:
        return self._known.get(flow_id)

    def changed(self, flow_id: str | None = None) -> None:
        """The flow, or any (None), may be another than what is known."""
        self._stale |= set(self._known) if flow_id is None else {flow_id}

    async def facts(self, flow_id: str) -> FlowFacts:
        """Never raises: without an answer, what was known last holds, or nothing is expected."""
        known = self._known.get(flow_id)
        if known is not None and flow_id not in self._stale:
            return known
        self._stale.discard(flow_id)
        try:
            flow, _ = await self._asker.value("flow", queries.FlowDetail(flow=flow_id), FlowView)
            statistics, _ = await self._asker.value(
                "statistics", queries.Statistics(flow=flow_id), StatisticsView
            )
        except PerfectError:
            self._stale.add(flow_id)
            return known or NO_FACTS
        self._known[flow_id] = facts_of(flow, statistics)
        return self._known[flow_id]
