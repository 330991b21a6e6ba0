"""Weighted progress of a run: Σ(weight × fraction) ÷ Σ(weight) over the tasks that will run.

What will run: the tasks known at registration, each as often as history says (or as often as seen, if more).
A finished task counts 1; a running one counts its reported fraction, 0 when it reports none. The part that
follows from time alone, min(elapsed ÷ expected, 0.95), is added by whoever draws it.
"""

from collections.abc import Iterable, Mapping

import msgspec

MAX_UNFINISHED = 0.99


class PlannedTask(msgspec.Struct, frozen=True):
    """expected_count: how often it runs in one run of the flow, by history; 1 without history."""

    task_id: str
    weight: float = 1.0
    expected_count: float = 1.0


def progress(plan: Iterable[PlannedTask], seen: Mapping[str, int], finished: Mapping[str, float]) -> float:
    """The fraction 0–0.99 that is done of a run that has not completed.

    seen: task id → task runs begun. finished: task id → finished ones, reported fractions included.
    """
    total = done = 0.0
    planned = set()
    for task in plan:
        planned.add(task.task_id)
        count = max(task.expected_count, seen.get(task.task_id, 0))
        total += task.weight * count
        done += task.weight * min(finished.get(task.task_id, 0.0), count)
    for task_id, count in seen.items():
        if task_id not in planned:
            total += count
            done += min(finished.get(task_id, 0.0), count)
    return min(done / total, MAX_UNFINISHED) if total else 0.0
