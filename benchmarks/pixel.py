"""From an event to the changed pixel: a program publishes events of a run, headless Chromium shows the run's page.

Measured from just before an event is handed to the bus until the frame that shows it has been drawn, by the clock of the
one machine that both are on. The pauses between events are by chance, so that what is held back for the sake of a quiet
page is measured, too. Milliseconds.
"""

import asyncio
import random
import time
from typing import Any

from chromium import ARGUMENTS, executable
from harness import System, percentile, report, system
from playwright.async_api import Page, async_playwright

from perfect_bus import Bus
from perfect_bus.connection import Connection
from perfect_schemas import events, ids, subjects
from perfect_schemas.codec import encode
from perfect_schemas.envelope import Event, utc_now

FLOW = "bench pixel"
TASKS = 60  # each begins and ends: two events
PAUSE_S = (0.05, 0.55)
LAST_S = 10.0
GOAL_MS = 150
# A row's state → when the frame with it was done, ms since 1970.
WATCH = """() => {
  window.seen = {};
  new MutationObserver(() => {
    const states = [...document.querySelectorAll("#run-tasks tr")].map((row) => `${row.dataset.key} ${row.dataset.state}`);
    const fresh = states.filter((state) => !(state in window.seen));
    for (const state of fresh) window.seen[state] = 0;
    if (!fresh.length) return;
    requestAnimationFrame(() => setTimeout(() => {
      for (const state of fresh) window.seen[state] = performance.timeOrigin + performance.now();
    }));
  }).observe(document.getElementById("run-tasks"), { childList: true, subtree: true, attributes: true });
}"""


def main() -> None:
    with system(workers=0) as running:
        status, value, _ = running.api.call("POST", "/api/engine/register", {"name": FLOW})
        if status != 201:
            raise RuntimeError(f"register: {status} {value}")
        run_id = running.api.trigger(FLOW)
        waits, missed = asyncio.run(measure(running, run_id))
    p50, p95 = percentile(waits, 50), percentile(waits, 95)
    report(
        "pixel",
        f"{len(waits)} events: {p50:.0f} ms to the pixel (median), 95 % within {p95:.0f} ms (goal {GOAL_MS}), {missed} missed",
        events=len(waits),
        missed=missed,
        p50_ms=p50,
        p95_ms=p95,
        most_ms=max(waits),
    )


async def measure(running: System, run_id: str) -> tuple[list[float], int]:
    """How long each event took, and how many were never seen. A task whose end was drawn at once began with it."""
    bus = await Bus.connect(Connection.load(running.folder / "connection.json"), name="benchmark pixel")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{running.port}/runs/{run_id}")
        await page.wait_for_selector('#link-state[data-state="live"]', state="attached")
        await page.evaluate(WATCH)
        said = await say(bus, run_id)
        seen = await last_seen(page, said)
        await browser.close()
    await bus.close()
    shown = {state: seen.get(state) or seen.get(state.replace("RUNNING", "COMPLETED")) for state in said}
    waits = [shown[state] - at for state, at in said.items() if shown[state] is not None]
    return waits, len(said) - len(waits)


async def say(bus: Bus, run_id: str) -> dict[str, float]:
    """Task key and state → when its event was handed to the bus, ms since 1970."""
    said: dict[str, float] = {}
    dice = random.Random(1)
    for n in range(TASKS):
        key = f"step-{n}"
        of_task = {
            "run_id": run_id,
            "source": "benchmark",
            "task_run_id": ids.task_run_id(run_id, key),
            "task_key": key,
            "task_id": ids.task_id(ids.flow_id(FLOW), "step"),
            "name": "step",
            "epoch": 1,
        }
        began: Event = events.TaskStarted(id=ids.uuid7(), at=utc_now(), **of_task)
        said[f"{key} RUNNING"] = await publish(bus, run_id, began)
        await asyncio.sleep(dice.uniform(*PAUSE_S))
        ended: Event = events.TaskCompleted(id=ids.uuid7(), at=utc_now(), duration_ms=1, **of_task)
        said[f"{key} COMPLETED"] = await publish(bus, run_id, ended)
        await asyncio.sleep(dice.uniform(*PAUSE_S))
    return said


async def publish(bus: Bus, run_id: str, event: Event) -> float:
    data = encode(event)
    now = time.time() * 1000
    await bus.outbox.send(subjects.task(run_id), data, event.id)
    return now


async def last_seen(page: Page, said: dict[str, float]) -> dict[str, Any]:
    """State → when it was seen, once all that last have been, or after a while."""
    deadline = time.monotonic() + LAST_S
    while True:
        seen = {key: at for key, at in (await page.evaluate("() => window.seen")).items() if at}
        if all(state in seen for state in said if state.endswith("COMPLETED")) or time.monotonic() > deadline:
            return {key: at for key, at in seen.items() if key in said}
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    main()
