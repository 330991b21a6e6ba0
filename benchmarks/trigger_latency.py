"""From `POST /api/engine/trigger/{flow}` to the first line of user code, on an idle system with a warm worker."""

import time

from harness import percentile, report, system

ROUNDS = 100


def main() -> None:
    with system() as running:
        api = running.api
        for _ in range(10):
            api.wait(api.trigger("bench first line"))
        times = []
        for _ in range(ROUNDS):
            before = time.time_ns()
            run = api.wait(api.trigger("bench first line"))
            times.append((run["result"] - before) / 1e6)
            time.sleep(0.05)
    p50, p95 = percentile(times, 50), percentile(times, 95)
    report(
        "trigger_latency",
        f"p50 {p50:.2f} ms, p95 {p95:.2f} ms over {ROUNDS} triggers",
        p50_ms=p50,
        p95_ms=p95,
    )


if __name__ == "__main__":
    main()
