"""W2: 200 runs of five no-op tasks on one worker that takes 20 at a time, until the API shows all of them as completed."""

import processor
from figures import Workload, alone, median_of
from harness import System
from throughput import many_runs

GOAL_PER_S = 400


def measure(running: System, count: int = 200, rounds: int = 5) -> Workload:
    many_runs(running.api, count)
    each, share = processor.rounds_of(running, rounds, lambda: count / many_runs(running.api, count))
    return Workload(
        id="W2",
        done=f"{count:,} runs of 5 tasks, concurrency 20, until all are shown",
        figures=[
            median_of(
                each,
                name="rate",
                unit="runs/s",
                goal=GOAL_PER_S,
                is_more_better=True,
                floor=count / share.floor_s,
                floor_is=share.words,
            )
        ],
    )


if __name__ == "__main__":
    alone(measure)
