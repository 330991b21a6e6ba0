"""W4: one run that maps a no-op task over 1,000 inputs, until the API shows all of them."""

import processor
from figures import Workload, alone, median_of
from harness import System
from throughput import timed_run

GOAL_S = 0.35


def measure(running: System, count: int = 1000, rounds: int = 3) -> Workload:
    timed_run(running.api, "bench fan out", max(count // 10, 1))
    each, share = processor.rounds_of(running, rounds, lambda: timed_run(running.api, "bench fan out", count))
    return Workload(
        id="W4",
        done=f"a fan-out of {count:,} tasks, until all are shown",
        figures=[
            median_of(each, name="time", unit="s", goal=GOAL_S, floor=share.floor_s, floor_is=share.words)
        ],
    )


if __name__ == "__main__":
    alone(measure)
