"""What is expected of runs, as live, for a fold that asks for it at every run: what it asks for is kept at hand."""

from bisect import bisect_left, insort

import msgspec

from perfect_projector.expectation import Counts, Expectations
from perfect_projector.forecast import HALF, Curves, Forecast, Guess
from perfect_schemas.folds.flow import Flow
from perfect_schemas.forecast import LEAST_RUNS, MEDIAN, MOST_RUNS, NEARLY_ALL, quantile
from perfect_schemas.progress import PlannedTask


class PlanKey(msgspec.Struct, frozen=True, cache_hash=True):
    """Equal for equal plans of a version of a flow, which is told at `seq`. counts: how often each of its tasks ran in the
    last `runs` runs.
    """

    flow_id: str
    seq: int
    runs: int
    counts: tuple[int, ...]


class Plans(Expectations):
    """The same, with the sums at hand: they are asked for at every run."""

    def __init__(self) -> None:
        super().__init__()
        self._totals: dict[str, Counts] = {}
        self._keys: dict[str, PlanKey] = {}

    def completed(self, flow_id: str, counts: Counts) -> None:
        totals = self._totals.setdefault(flow_id, {})
        history = self.counts.get(flow_id)
        if history is not None and len(history) == history.maxlen:
            if history[0] is counts:  # as by far most runs of most flows
                history.append(counts)
                return
            for task_id, count in history[0].items():
                totals[task_id] -= count
        for task_id, count in counts.items():
            totals[task_id] = totals.get(task_id, 0) + count
        super().completed(flow_id, counts)
        self._keys.pop(flow_id, None)

    def key(self, flow: Flow) -> PlanKey:
        known = self._keys.get(flow.id)
        if known is not None and known.seq == flow.last_seq:
            return known
        totals = self._totals.get(flow.id, {})
        counts = tuple(totals.get(task.id, 0) for task in flow.tasks)
        key = PlanKey(flow.id, flow.last_seq, len(self.counts.get(flow.id, ())), counts)
        self._keys[flow.id] = key
        return key

    def plan(self, flow: Flow) -> list[PlannedTask]:
        totals = self._totals.get(flow.id, {})
        runs = len(self.counts.get(flow.id, ()))
        return [
            PlannedTask(task.id, task.weight, totals.get(task.id, 0) / runs if runs else 1.0)
            for task in flow.tasks
        ]


class Guesses(Curves):
    """The same, with what each run still needed in order: it is asked for at every run."""

    def __init__(self) -> None:
        super().__init__()
        self._left: dict[tuple[str, int], list[int]] = {}

    def completed(self, flow_id: str, forecast: Forecast, duration_ms: int) -> None:
        history = self.known.get(flow_id)
        oldest = history[0] if history is not None and len(history) == MOST_RUNS else None
        super().completed(flow_id, forecast, duration_ms)
        curve = self.known[flow_id][-1]
        for step in (0, HALF):
            left = self._left.setdefault((flow_id, step), [])
            if oldest is not None:
                del left[bisect_left(left, _left(oldest, step))]
            insort(left, _left(curve, step))

    def halfway(self, flow_id: str, forecast: Forecast) -> None:
        """`forecast` has all of its marks."""
        forecast.half = self._guess(flow_id, HALF, forecast.marks[HALF - 1])

    def _guess(self, flow_id: str, step: int, elapsed_ms: int) -> Guess | None:
        left = self._left.get((flow_id, step), ())
        if len(left) < LEAST_RUNS:
            return None
        return Guess(
            elapsed_ms + round(quantile(left, MEDIAN)), elapsed_ms + round(quantile(left, NEARLY_ALL))
        )


def _left(curve: list[int], step: int) -> int:
    return curve[-1] - (curve[step - 1] if step else 0)
