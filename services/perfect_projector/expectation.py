"""What the next run of a flow will do: its registered tasks, each as often as in its last completed runs."""

from collections import deque
from collections.abc import Iterable

from perfect_schemas.folds.flow import Flow
from perfect_schemas.progress import PlannedTask

HISTORY_RUNS = 20

Counts = dict[str, int]


class Expectations:
    """counts: flow id → task id → how often, of each of the last completed runs, oldest first."""

    def __init__(self) -> None:
        self.counts: dict[str, deque[Counts]] = {}

    def restore(self, rows: Iterable[tuple[str, str, str | None, int]]) -> None:
        """Rows of (flow id, run id, task id, how often), those of the oldest run first."""
        runs: dict[tuple[str, str], Counts] = {}
        for flow_id, run_id, task_id, count in rows:
            counts = runs.setdefault((flow_id, run_id), {})
            if task_id is not None:
                counts[task_id] = count
        for (flow_id, _), counts in runs.items():
            self.completed(flow_id, counts)

    def completed(self, flow_id: str, counts: Counts) -> None:
        history = self.counts.get(flow_id)
        if history is None:
            history = self.counts[flow_id] = deque(maxlen=HISTORY_RUNS)
        history.append(counts)

    def plan(self, flow: Flow) -> list[PlannedTask]:
        history = self.counts.get(flow.id)
        return [
            PlannedTask(
                task.id,
                task.weight,
                sum(counts.get(task.id, 0) for counts in history) / len(history) if history else 1.0,
            )
            for task in flow.tasks
        ]
