"""How fast the pages of a large run are: its tabs, the run as it was at an event, and the list of runs.

For each page: what the server takes for the first answer and for those that follow, and of that the processor time of
gateway and projector, which a busy machine does not blur; what a first visit transfers with an empty cache (everything,
packed), when headless Chromium paints the first content, and the longest time for which its main thread is held up while
the page comes and is scrolled. Milliseconds.

    python benchmarks/pages.py [--tasks 10000] [--folder FOLDER]

A folder is one that `scale.py` filled; runs are added to it, so give a copy.
"""

import argparse
import http.client
import random
import statistics
import time
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

from arguments import whole
from chromium import ARGUMENTS, executable
from harness import Api, percentile, report, system
from playwright.sync_api import Browser, sync_playwright
from scale import spent_s

REQUESTS = 30
VISITS = 2
TABS = ("overview", "timeline", "graph", "tasks", "logs", "events")
GOALS = {"p95_ms": 60.0, "first_ms": 60.0, "fcp_ms": 500.0, "transferred_kb": 150.0, "longest_task_ms": 100.0}
WATCH = """
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
  }).observe({ type: "longtask", buffered: true });
"""
PAINTED = """() => new Promise((done) => {
  const look = () => performance.getEntriesByName("first-contentful-paint")[0];
  if (look()) return done(look().startTime);
  new PerformanceObserver((_, observer) => { if (look()) { observer.disconnect(); done(look().startTime); } })
    .observe({ type: "paint", buffered: true });
})"""
SCROLLERS = "() => document.querySelectorAll('.gantt-scroller, #task-scroller, .scroll, .log').forEach((one) => one.scrollBy(0, 4000))"
FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


class Reader:
    """One keep-alive connection that takes packed answers."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def read(self, path: str) -> tuple[float, int]:
        """Milliseconds until all of the answer is there, and its bytes."""
        began = time.perf_counter()
        self._connection.request("GET", path, headers={"accept-encoding": "gzip", "accept": "text/html"})
        response = self._connection.getresponse()
        data = response.read()
        if response.status != 200:
            raise RuntimeError(f"GET {path}: {response.status}")
        return (time.perf_counter() - began) * 1000, len(data)


def main(tasks: int, folder: Path | None) -> None:
    chromium = executable()
    with system(folder=folder) as running:
        run_id = running.api.trigger("bench fan out", count=tasks)
        running.api.wait(run_id)
        pages = pages_of(running.api, run_id)
        pids = [running.process("gateway"), running.process("projector")]
        figures = {name: answers(Reader(running.port), path, pids) for name, path in pages.items()}
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
            visit(browser, running.port, "/settings")  # what Chromium itself does once
            for name, path in pages.items():
                visits = [visit(browser, running.port, path()) for _ in range(VISITS)]
                figures[name] |= {key: statistics.median(one[key] for one in visits) for key in visits[0]}
            browser.close()
    for name, found in figures.items():
        print(f"  {name:9} " + "  ".join(f"{key} {value:7.1f}" for key, value in found.items()))
    missed = [
        f"{name} {key} {found[key]:.0f}"
        for name, found in figures.items()
        for key, goal in GOALS.items()
        if found[key] > goal
    ]
    report("pages", f"a run of {tasks:,} tasks; beyond the goal: {', '.join(missed) or 'nothing'}", **figures)


def pages_of(api: Api, run_id: str) -> dict[str, Callable[[], str]]:
    """Name → a path of the page, another event each time for the run as it was."""
    moments = list(accumulate(api.get(f"/api/engine/runs/{run_id}/moments")["step"]))
    dice = random.Random(1)
    found: dict[str, Callable[[], str]] = {
        "at": lambda: f"/runs/{run_id}?at={dice.choice(moments)}",
        **{tab: (lambda tab=tab: f"/runs/{run_id}?tab={tab}") for tab in TABS},
        "runs": lambda: "/runs",
    }
    return found


def answers(reader: Reader, path: Callable[[], str], pids: list[int]) -> dict[str, float]:
    first_ms, size = reader.read(path())
    before_s = sum(map(spent_s, pids))
    took = [reader.read(path())[0] for _ in range(REQUESTS)]
    return {
        "cpu_ms": (sum(map(spent_s, pids)) - before_s) * 1000 / REQUESTS,
        "first_ms": first_ms,
        "p50_ms": percentile(took, 50),
        "p95_ms": percentile(took, 95),
        "document_kb": size / 1024,
    }


def visit(browser: Browser, port: int, path: str) -> dict[str, float]:
    """A first visit: nothing is cached."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script(WATCH)
    page = context.new_page()
    transferred: list[float] = []
    network: Any = context.new_cdp_session(page)
    network.send("Network.enable")
    network.on("Network.loadingFinished", lambda event: transferred.append(event["encodedDataLength"]))
    page.goto(f"http://127.0.0.1:{port}{path}", wait_until="load")
    painted = page.evaluate(PAINTED)
    for _ in range(5):
        page.evaluate(SCROLLERS)
        page.evaluate(FRAMES)
    page.wait_for_timeout(300)  # what was asked for comes, is drawn, and its long tasks are told
    longest = page.evaluate("() => window.longest")
    context.close()
    return {
        "fcp_ms": painted,
        "longest_task_ms": longest,
        "transferred_kb": sum(transferred) / 1024,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=whole, default=10_000)
    parser.add_argument("--folder", type=Path, help="of data that the runs are added to")
    arguments = parser.parse_args()
    main(arguments.tasks, arguments.folder)
