"""W6: 10,000 log lines of one run: from the trigger until the API shows all of them, in order."""

import time

from figures import Workload, median_of
from harness import Api, System, system

LINES = 10_000
GOAL_S = 0.5


def measure(running: System, count: int = LINES, rounds: int = 3) -> Workload:
    running.api.wait(running.api.trigger("bench log lines", count=max(count // 100, 1)))
    each = [shown_after_s(running.api, count) for _ in range(rounds)]
    return Workload(
        id="W6",
        done=f"{count:,} log lines of one run, until the API shows all",
        figures=[median_of(each, name="time", unit="s", goal=GOAL_S)],
    )


def shown_after_s(api: Api, count: int) -> float:
    started = time.monotonic()
    run_id = api.trigger("bench log lines", count=count)
    shown: list[str] = []
    while len(shown) < count:
        shown = []
        path = f"/api/engine/runs/{run_id}/logs?limit=1000"
        while path:
            _, page, headers = api.call("GET", path)
            shown += [line["message"] for line in page]
            link = headers.get("link") or headers.get("Link")
            path = link[link.index("<") + 1 : link.index(">")] if link else ""
        if time.monotonic() > started + 60:
            raise TimeoutError(f"{len(shown)} of {count} lines after 60 s")
    seconds = time.monotonic() - started
    if shown != [f"line {n}" for n in range(count)]:
        raise RuntimeError("the lines are not in order")
    return seconds


if __name__ == "__main__":
    with system() as running:
        measure(running).say()
