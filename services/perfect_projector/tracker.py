"""How far one run is: `perfect_schemas.progress.progress`, kept up to date event by event.

What will run is looked up once, when the run is first seen, and kept with its row until it is final: so the number
depends on the events alone, not on how they were gathered or on a restart in between.
"""

from collections.abc import Iterable

import msgspec

from perfect_schemas.progress import MAX_UNFINISHED, PlannedTask

_Plan = list[tuple[str, float, float]]
_decode = msgspec.json.Decoder(_Plan).decode


class Tracker:
    """high: the greatest fraction 0–1 of this epoch; what is shown never goes backwards within one.
    seen: task id → task runs begun. finished: task runs. plan_text: the plan as JSON, to `expect` it again.
    """

    __slots__ = ("_done", "_ended", "_planned", "_total", "finished", "high", "plan", "plan_text", "seen")

    def __init__(self) -> None:
        self.plan: dict[str, PlannedTask] | None = None
        self.plan_text: str | None = None
        self.seen: dict[str, int] = {}
        self.finished = 0
        self.high = 0.0
        self._ended: dict[str, int] = {}
        self._planned = 0.0
        self._total = 0.0
        self._done = 0.0

    def expect(self, plan: Iterable[PlannedTask]) -> None:
        """Say what will run: before anything has begun, or late when the flow became known late."""
        self.plan = planned = {task.task_id: task for task in plan}
        rows = [(task.task_id, task.weight, task.expected_count) for task in planned.values()]
        self.plan_text = msgspec.json.encode(rows).decode()
        self._planned = sum(task.expected_count for task in planned.values())
        self._total = sum(
            task.weight * max(task.expected_count, self.seen.get(task.task_id, 0))
            for task in planned.values()
        ) + sum(count for task_id, count in self.seen.items() if task_id not in planned)
        self._done = sum(self._weight(task_id) * count for task_id, count in self._ended.items())

    def began(self, task_id: str) -> None:
        count = self.seen[task_id] = self.seen.get(task_id, 0) + 1
        task = self.plan.get(task_id) if self.plan else None
        if task is None:
            self._total += 1.0
        elif count > task.expected_count:
            self._total += task.weight * min(count - task.expected_count, 1.0)

    def ended(self, task_id: str) -> None:
        self.finished += 1
        self._ended[task_id] = self._ended.get(task_id, 0) + 1
        self._done += self._weight(task_id)
        self.high = max(self.high, self.fraction)

    def reopened(self, task_id: str) -> None:
        """A finished task runs again, in a later epoch."""
        self.finished -= 1
        self._ended[task_id] -= 1
        self._done -= self._weight(task_id)

    def new_epoch(self) -> None:
        self.high = self.fraction

    @property
    def fraction(self) -> float:
        return min(self._done / self._total, MAX_UNFINISHED) if self._total > 0 else 0.0

    @property
    def total(self) -> int:
        """Task runs expected, at least those that have begun."""
        extra = sum(
            max(count - self.plan[task_id].expected_count, 0) if self.plan and task_id in self.plan else count
            for task_id, count in self.seen.items()
        )
        return round(self._planned + extra)

    def _weight(self, task_id: str) -> float:
        task = self.plan.get(task_id) if self.plan else None
        return 1.0 if task is None else task.weight


def plan_of(text: str) -> list[PlannedTask]:
    return [PlannedTask(task_id, weight, count) for task_id, weight, count in _decode(text)]
