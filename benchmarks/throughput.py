"""Tasks and runs per second, until the read model shows all of them.

One run of 1,000 sequential no-op tasks (each acknowledged before the next starts); one fan-out of 1,000; 200 runs of 5.
"""

import time
from concurrent.futures import ThreadPoolExecutor

from harness import ENDED, Api, report, system

ROUNDS = 3
CONNECTIONS = 8
LOOK_S = 0.015
AT_LEAST_S = (
    0.00015  # a task: who looks before that takes a fifth of a processor from those who work, for nothing
)
WAIT_S = 120
RUNS = "/api/engine/runs?flow=bench%20five%20tasks"


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
    run_id = api.trigger(flow, count=count)
    time.sleep(count * AT_LEAST_S)
    run = api.wait(run_id)
    tasks = api.get(f"/api/engine/runs/{run['id']}/tasks?limit=1000")
    seconds = time.monotonic() - started
    if run["state"] != "COMPLETED" or sum(task["state"] == "COMPLETED" for task in tasks) != count:
        raise RuntimeError(f"{flow}: {run['state']}, {len(tasks)} tasks shown")
    return seconds


def many_runs(api: Api, count: int) -> float:
    """Seconds until the API shows all of the runs as completed; at most 1,000 of them.

    Triggered over CONNECTIONS connections that are kept, as any busy client does: one alone, which waits for each answer
    before it asks again, would measure its own round trips. Then it asks whether any is under way still, and when none
    is, for all of them: who waits is not to be what the gateway and the read model are busy with.
    """
    started = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        shares = [count // CONNECTIONS + (n < count % CONNECTIONS) for n in range(CONNECTIONS)]
        waiting = {
            run_id for some in pool.map(lambda share: _trigger(api.port, share), shares) for run_id in some
        }
    deadline = time.monotonic() + WAIT_S
    while True:
        if not api.get(f"{RUNS}&state=active&limit=1"):
            for run in api.get(f"{RUNS}&limit={count}"):
                if run["id"] in waiting and run["state"] in ENDED:
                    waiting.discard(run["id"])
                    if run["state"] != "COMPLETED":
                        raise RuntimeError(f"run {run['id']}: {run['state']} {run['error']}")
        if not waiting:
            return time.monotonic() - started
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(waiting)} of {count} runs have not ended after {WAIT_S} s")
        time.sleep(LOOK_S)


def _trigger(port: int, count: int) -> list[str]:
    api = Api(port)
    return [api.trigger("bench five tasks") for _ in range(count)]


if __name__ == "__main__":
    main()
