"""W4: one run that maps a no-op task over 1,000 inputs, until the API shows all of them."""

from figures import Workload, alone, median_of
from harness import System
from throughput import timed_run

GOAL_S = 0.35


def measure(running: System, count: int = 1000, rounds: int = 3) -> Workload:
    timed_run(running.api, "bench fan out", max(count // 10, 1))
    each = [timed_run(running.api, "bench fan out", count) for _ in range(rounds)]
    return Workload(
        id="W4",
        done=f"a fan-out of {count:,} tasks, until all are shown",
        figures=[median_of(each, name="time", unit="s", goal=GOAL_S)],
    )


if __name__ == "__main__":
    alone(measure)
