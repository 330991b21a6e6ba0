"""What a workload measured: figures with a unit and a goal, as one line for programs and one for people.

Goals hold at the default durability, on two cores. `strict` is the same figure with PERFECT_DURABILITY=strict, beside it.
"""

import json
import statistics
from collections.abc import Callable

import msgspec
from harness import System, system


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """value: the median of `each`, or what was measured once. is_more_better: of a rate. strict: None = not measured.

    floor: what the same machine needed, in the same run and the same unit, for what this cannot do without; floor_is: a
    sentence that says what that was.
    """

    name: str
    unit: str
    value: float
    goal: float | None = None
    is_more_better: bool = False
    each: list[float] = []
    strict: float | None = None
    floor: float | None = None
    floor_is: str | None = None

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.is_more_better else self.value <= self.goal

    @property
    def over_floor(self) -> float | None:
        """How many times the floor it is; 1 = nothing left to gain."""
        if not self.floor or not self.value:
            return None
        return self.floor / self.value if self.is_more_better else self.value / self.floor

    def __str__(self) -> str:
        said = f"{self.name} {number(self.value)} {self.unit}"
        if self.goal is not None:
            said += f" (goal {'≥' if self.is_more_better else '≤'} {number(self.goal)}, {'met' if self.met else 'MISSED'})"
        if self.strict is not None:
            said += f", strict {number(self.strict)}"
        if self.floor is not None:
            said += f", floor {number(self.floor)}" + (f": {self.floor_is}" if self.floor_is else "")
        return said


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """id: W1 to W8. done: what was done, and how much of it, in words."""

    id: str
    done: str
    figures: list[Figure]

    def say(self) -> None:
        figures = [
            {k: v for k, v in msgspec.to_builtins(f).items() if v is not None} | {"met": f.met}
            for f in self.figures
        ]
        print(json.dumps({"benchmark": self.id, "name": self.done, "figures": figures}), flush=True)
        print(f"{self.id}: {self.done}: {'; '.join(map(str, self.figures))}", flush=True)


def median_of(each: list[float], **described: object) -> Figure:
    return Figure(value=statistics.median(each), each=[round(one, 4) for one in each], **described)  # type: ignore[arg-type]


def beside(plain: Workload, strict: Workload) -> Workload:
    """The figures of `plain`, each with what `strict` measured."""
    values = {figure.name: figure.value for figure in strict.figures}
    figures = [
        msgspec.structs.replace(figure, strict=values[figure.name], each=figure.each)
        for figure in plain.figures
    ]
    return msgspec.structs.replace(plain, figures=figures)


def alone(measure: Callable[[System], Workload]) -> None:
    """Say what `measure` finds on a system of its own, and on a strict one."""
    with system() as running:
        plain = measure(running)
    with system(durability="strict") as running:
        beside(plain, measure(running)).say()


def number(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
