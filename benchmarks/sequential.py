"""W1: one run of 1,000 sequential no-op tasks, each acknowledged before the next starts, until the API shows all of them."""

from figures import Workload, alone, median_of
from harness import System
from throughput import timed_run

GOAL_S = 0.35


def measure(running: System, count: int = 1000, rounds: int = 3) -> Workload:
    timed_run(running.api, "bench sequential tasks", max(count // 10, 1))
    each = [timed_run(running.api, "bench sequential tasks", count) for _ in range(rounds)]
    return Workload(
        id="W1",
        done=f"one run of {count:,} sequential tasks, until all are shown",
        figures=[median_of(each, name="time", unit="s", goal=GOAL_S)],
    )


if __name__ == "__main__":
    alone(measure)
