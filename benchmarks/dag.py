"""Executions of real workflows, as WfFormat 1.5 has them: which tasks there were, what each waited for, how long it ran.

https://github.com/wfcommons/WfFormat. Of a file only these are read: `workflow.specification.tasks[]` with `id`, `name`,
`parents` (and `children`, where somebody wrote an edge at one end only), and `workflow.execution.tasks[]` with `id` and
`runtimeInSeconds`.
"""

import heapq
import json
import re
import statistics
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

_NUMBERED = re.compile(r"_(ID)?\d+$")


class Step(NamedTuple):
    """One task of the execution. kind: the program that it is a call of. seconds: how long it ran."""

    id: str
    kind: str
    seconds: float
    parents: tuple[str, ...]


class Dag:
    """steps: in an order in which each comes after its parents."""

    def __init__(self, name: str, steps: list[Step]) -> None:
        self.name = name
        by_id = {step.id: step for step in steps}
        if len(by_id) != len(steps):
            raise ValueError(f"{name}: two tasks have the same id")
        for step in steps:
            for parent in step.parents:
                if parent not in by_id:
                    raise ValueError(f"{name}: task {step.id!r} has the parent {parent!r}, which is no task")
        try:
            order = list(TopologicalSorter({step.id: step.parents for step in steps}).static_order())
        except CycleError as error:
            raise ValueError(
                f"{name}: tasks wait for each other in a circle: {' → '.join(error.args[1])}"
            ) from None
        self.steps = [by_id[each] for each in order]

    @classmethod
    def load(cls, file: Path) -> "Dag":
        """Raises ValueError when the file is not one of WfFormat 1.5, or its tasks do not fit together."""
        found = json.loads(file.read_text())
        try:
            specified = found["workflow"]["specification"]["tasks"]
            executed = found["workflow"]["execution"]["tasks"]
            seconds = {task["id"]: float(task["runtimeInSeconds"]) for task in executed}
            parents: dict[str, dict[str, None]] = {
                task["id"]: dict.fromkeys(task.get("parents", ())) for task in specified
            }
            for task in specified:
                for child in task.get("children", ()):
                    parents[child][task["id"]] = None
            steps = [
                Step(
                    task["id"],
                    _NUMBERED.sub("", task["name"]),
                    seconds[task["id"]],
                    tuple(parents[task["id"]]),
                )
                for task in specified
            ]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{file} is not an execution in WfFormat 1.5: {error} is missing") from error
        return cls(file.stem, steps)

    @cached_property
    def kinds(self) -> dict[str, float]:
        """kind → mean seconds of its steps, in the order of first use."""
        took: dict[str, list[float]] = {}
        for step in self.steps:
            took.setdefault(step.kind, []).append(step.seconds)
        return {kind: statistics.fmean(seconds) for kind, seconds in took.items()}

    @cached_property
    def depth(self) -> int:
        """How many steps the longest chain has."""
        depths: dict[str, int] = {}
        for step in self.steps:
            depths[step.id] = 1 + max((depths[parent] for parent in step.parents), default=0)
        return max(depths.values(), default=0)

    @property
    def critical_path_s(self) -> float:
        """What no scheduler gets below, however many steps run at a time."""
        return self.makespan_s(len(self.steps) or 1)

    @property
    def total_s(self) -> float:
        return sum(step.seconds for step in self.steps)

    def bound_s(self, concurrency: int) -> float:
        """What no scheduler gets below when at most so many steps run at a time."""
        return max(self.critical_path_s, self.total_s / concurrency)

    def makespan_s(self, concurrency: int) -> float:
        """How long it takes when a step begins as soon as its parents are done and a place is free, the first in
        `steps` first, and nothing else takes any time.
        """
        children: dict[str, list[int]] = {}
        missing = [len(step.parents) for step in self.steps]
        for n, step in enumerate(self.steps):
            for parent in step.parents:
                children.setdefault(parent, []).append(n)
        ready = [n for n, count in enumerate(missing) if not count]
        running: list[tuple[float, int]] = []
        now = 0.0
        while ready or running:
            while ready and len(running) < concurrency:
                n = heapq.heappop(ready)
                heapq.heappush(running, (now + self.steps[n].seconds, n))
            now, ended = heapq.heappop(running)
            for child in children.get(self.steps[ended].id, ()):
                missing[child] -= 1
                if not missing[child]:
                    heapq.heappush(ready, child)
        return now
