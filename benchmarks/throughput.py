"""Tasks and runs per second, until the read model shows all of them.

One run of 1,000 sequential no-op tasks (each acknowledged before the next starts); one fan-out of 1,000; 200 runs of 5.
"""

import time

from harness import Api, report, system

ROUNDS = 3


def main() -> None:
    with system() as running:
        for flow in ("bench sequential tasks", "bench fan out"):
            timed_run(running.api, flow, 100)
            seconds = sorted(timed_run(running.api, flow, 1000) for _ in range(ROUNDS))[ROUNDS // 2]
            name = flow.removeprefix("bench ").replace(" ", "_")
            report(
                name,
                f"1,000 tasks in {seconds:.2f} s, {1000 / seconds:,.0f} tasks/s",
                tasks_per_s=1000 / seconds,
            )
        seconds = many_runs(running.api, 200)
        report(
            "runs",
            f"200 runs of 5 tasks in {seconds:.2f} s, {200 / seconds:,.0f} runs/s",
            runs_per_s=200 / seconds,
        )


def timed_run(api: Api, flow: str, count: int) -> float:
    started = time.monotonic()
    run = api.wait(api.trigger(flow, count=count))
    tasks = api.get(f"/api/engine/runs/{run['id']}/tasks?limit=1000")
    seconds = time.monotonic() - started
    if run["state"] != "COMPLETED" or sum(task["state"] == "COMPLETED" for task in tasks) != count:
        raise RuntimeError(f"{flow}: {run['state']}, {len(tasks)} tasks shown")
    return seconds


def many_runs(api: Api, count: int) -> float:
    started = time.monotonic()
    run_ids = [api.trigger("bench five tasks") for _ in range(count)]
    for run_id in run_ids:
        if (run := api.wait(run_id))["state"] != "COMPLETED":
            raise RuntimeError(f"run {run_id}: {run['state']} {run['error']}")
    return time.monotonic() - started


if __name__ == "__main__":
    main()
