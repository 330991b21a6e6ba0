"""W3: from `POST /api/engine/trigger/{flow}` to the first line of user code, on an idle system with a warm worker."""

import time

import hops
from figures import Figure, Workload, alone
from harness import System, percentile

GOAL_P50_MS = 3.0
GOAL_P95_MS = 6.0
PAUSE_S = 0.05  # idle again between two triggers


def measure(running: System, count: int = 100, warm: int = 10) -> Workload:
    took_ms = latencies(running, warm + count)[warm:]
    each = hops.measured(running, min(hops.ROUNDS, count))
    return Workload(
        id="W3",
        done=f"trigger over HTTP to the first line of user code, idle, {count} times",
        figures=[
            Figure(
                name="p50",
                unit="ms",
                value=percentile(took_ms, 50),
                goal=GOAL_P50_MS,
                floor=hops.floor_ms(each),
                floor_is="the same ways between idle processes with nothing at their ends: one HTTP request "
                f"{each['http']:.2f} ms, two messages of core NATS {each['message']:.2f} each, one stored and acknowledged "
                f"{each['stored']:.2f}, one frame {each['frame']:.2f}",
            ),
            Figure(name="p95", unit="ms", value=percentile(took_ms, 95), goal=GOAL_P95_MS),
        ],
    )


def latencies(running: System, count: int) -> list[float]:
    """Of one trigger after another, ms. The flow returns the instant of its first line; nobody asks for the run before
    it is over, which would take the processors from it.
    """
    api, took_ms = running.api, []
    for _ in range(count):
        before = time.time_ns()
        run_id = api.trigger("bench first line")
        time.sleep(PAUSE_S)
        took_ms.append((api.wait(run_id)["result"] - before) / 1e6)
        time.sleep(PAUSE_S)
    return took_ms


if __name__ == "__main__":
    alone(measure)
