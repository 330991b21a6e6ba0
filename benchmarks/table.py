"""All workloads, W1 to W8, one after the other, and at the end the table of what was measured beside its goal.

    python benchmarks/table.py [--out FILE] [--runs N] [--history FOLDER] [--tiny]

W1 to W4 are also measured with strict durability. `--runs`: of W8's history, which `--history` keeps. `--tiny`: a few of everything, to see that
all of it works; its figures mean nothing.
"""

import argparse
import functools
import json
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import fan_out
import idle
import kill
import log_lines
import machine
import many_runs
import msgspec
import run_list
import sequential
import trigger_latency
from arguments import whole
from figures import Figure, Workload, beside, number
from harness import System, system

Measure = Callable[[System], Workload]

FULL: dict[str, Measure] = {
    "W1": sequential.measure,
    "W2": many_runs.measure,
    "W3": trigger_latency.measure,
    "W4": fan_out.measure,
    "W5": idle.measure,
    "W6": log_lines.measure,
    "W7": kill.measure,
}
TINY: dict[str, Measure] = {
    "W1": functools.partial(sequential.measure, count=5, rounds=1),
    "W2": functools.partial(many_runs.measure, count=5, rounds=1),
    "W3": functools.partial(trigger_latency.measure, count=5, warm=1),
    "W4": functools.partial(fan_out.measure, count=5, rounds=1),
    "W5": functools.partial(idle.measure, seconds=0.2, settle_s=0),
    "W6": functools.partial(log_lines.measure, count=5, rounds=1),
    "W7": functools.partial(kill.measure, steps=10, kill_at=3, rounds=1),
}
WITH_STRICT = ("W1", "W2", "W3", "W4")


class Table:
    """found: what was measured, by workload. failed: what could not be, and why; the others are measured all the same. speed:
    of the machine meanwhile.
    """

    def __init__(self) -> None:
        self.found: dict[str, Workload] = {}
        self.failed: dict[str, str] = {}
        self.speed: dict[str, float] = {}

    def add(self, id_: str, measure: Callable[[], Workload]) -> None:
        try:
            workload = measure()
        except Exception as error:
            self.failed[id_] = f"{type(error).__name__}: {error}"
            print(f"{id_} failed: {self.failed[id_]}", flush=True)
            return
        self.found[id_] = beside(self.found[id_], workload) if id_ in self.found else workload
        self.found[id_].say()

    def everything(self, history_runs: int, history: Path | None) -> None:
        with system(workers=0) as running:
            self.add("W5", lambda: FULL["W5"](running))
        with system() as running:
            self.speed = machine.speed(running.folder)
            for id_ in (*WITH_STRICT, "W6"):
                self.add(id_, lambda id_=id_: FULL[id_](running))
        with system(durability="strict") as running:
            for id_ in (one for one in WITH_STRICT if one in self.found):
                self.add(id_, lambda id_=id_: FULL[id_](running))
        with system(workers=2) as running:
            self.add("W7", lambda: FULL["W7"](running))
        with tempfile.TemporaryDirectory(prefix="perfect-list-") as temporary:
            folder = history or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            self.add("W8", lambda: run_list.measure(folder, history_runs))

    def tiny(self) -> None:
        """All on one system, but for the history."""
        with system(workers=2, processes=1) as running:
            for id_, measure in TINY.items():
                self.add(id_, lambda measure=measure: measure(running))
        with tempfile.TemporaryDirectory(prefix="perfect-list-") as folder:
            self.add(
                "W8",
                lambda: run_list.measure(Path(folder), 100, rounds=2, writes=1, events_per_s=50, at_least=0),
            )

    def workloads(self) -> list[Workload]:
        return [self.found[id_] for id_ in sorted(self.found)]

    def say(self) -> None:
        print()
        for workload in self.workloads():
            for figure in workload.figures:
                what, name, goal, measured, strict, floor = row(workload, figure)
                print(f"{what[:72]:72}  {name:22}  {goal:18}  {measured:20}  {strict:8}  {floor}".rstrip())
        if self.speed:
            print(f"\nThis machine: {machine.words_of(self.speed)}.")
        for id_, why in self.failed.items():
            print(f"{id_}: not measured: {why}")


def row(workload: Workload, figure: Figure) -> tuple[str, str, str, str, str, str]:
    """Workload, figure, goal, measured, with strict durability, floor."""
    sign = "≥" if figure.is_more_better else "≤"
    goal = "–" if figure.goal is None else f"{sign} {number(figure.goal)} {figure.unit}"
    missed = "" if figure.met in (True, None) else " ✗"
    strict = "" if figure.strict is None else number(figure.strict)
    return (
        f"{workload.id}: {workload.done}",
        figure.name,
        goal,
        f"{number(figure.value)} {figure.unit}{missed}",
        strict,
        "" if figure.floor is None else f"{number(figure.floor)} {figure.unit}",
    )


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended on the way out
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, help="a file for the results, as JSON")
    parser.add_argument(
        "--runs", type=whole, default=run_list.RUNS, help="of W8's history (default: %(default)s)"
    )
    parser.add_argument(
        "--history",
        type=Path,
        help="where W8's history is, or is made and kept; a million runs take a quarter of an hour",
    )
    parser.add_argument("--tiny", action="store_true", help="a few of everything, to see that it works")
    arguments = parser.parse_args()
    begin = datetime.now(UTC)
    before = machine.described(Path(tempfile.gettempdir()))
    table = Table()
    try:
        table.tiny() if arguments.tiny else table.everything(arguments.runs, arguments.history)
    finally:  # what was measured stays, also when the rest is interrupted
        table.say()
        if arguments.out:
            result = {
                "at": begin.isoformat(timespec="seconds"),
                "machine": before | table.speed,
                "versions": machine.versions(),
                "workloads": msgspec.to_builtins(table.workloads()),
                "failed": table.failed,
            }
            arguments.out.parent.mkdir(parents=True, exist_ok=True)
            arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
