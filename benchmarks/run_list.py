"""W8: the list of 50 runs over HTTP on a long history: newest page and pages far back, idle and under 2,000 events a second;
and whether anybody who writes meanwhile is refused.

The history is made by the projector's own write loop. 10,000 runs by default, for a quick look; `--runs 1000000` is the
workload that the goal is about: a quarter of an hour to make, once, with `--folder`. `scale.py` asks everything else.
"""

import argparse
import asyncio
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
from arguments import whole
from figures import Figure, Workload
from harness import Api, percentile, system
from history import History, fill
from scale import ask, questions_of
from traffic import traffic

from perfect_bus.connection import Connection
from perfect_bus.settings import Settings
from perfect_schemas.envelope import utc_now

RUNS = 10_000
ROUNDS = 60
WARM_ROUNDS = 3
EVENTS_PER_S = 2000
WRITERS = 8
WRITES = 25  # of each
GOAL_IDLE_MS = 20.0
GOAL_BUSY_MS = 60.0
NAMES = {"list": "newest page", "deep_page": "deep page"}


def measure(
    folder: Path,
    runs: int = RUNS,
    rounds: int = ROUNDS,
    writes: int = WRITES,
    events_per_s: int = EVENTS_PER_S,
    at_least: float = 0.9,
) -> Workload:
    """folder: of the data; a history that is there already is taken as it is. at_least: this share of the events has
    to be said for the measurement to count.
    """
    history = _history(folder, runs)
    with system(folder=folder) as running:
        questions = {name: path for name, path in questions_of(history).items() if name in NAMES}
        ask(running.api, questions, WARM_ROUNDS)
        idle = ask(running.api, questions, rounds)
        with traffic(Connection.load(folder / "connection.json"), events_per_s, at_least=at_least):
            time.sleep(min(2, rounds / 10))
            busy = ask(running.api, questions, rounds)
            refused = _refused(running.port, writes)
    figures = [
        Figure(name=f"{NAMES[name]}, {how}", unit="ms p95", value=percentile(took[name], 95), goal=goal)
        for how, took, goal in (("idle", idle, GOAL_IDLE_MS), ("busy", busy, GOAL_BUSY_MS))
        for name in NAMES
    ]
    figures.append(Figure(name=f"refused of {WRITERS * writes} writes", unit="writes", value=refused, goal=0))
    return Workload(
        id="W8",
        done=f"list of 50 runs at {history.runs:,} runs, idle and at {events_per_s:,} events/s, {WRITERS} writers at once",
        figures=figures,
    )


def _history(folder: Path, runs: int) -> History:
    kept = folder / "history.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=History)
    history = History(runs=runs, end=utc_now())
    asyncio.run(fill(Settings(data_dir=folder), history))
    kept.write_bytes(msgspec.json.encode(history))
    return history


def _refused(port: int, writes: int) -> int:
    """How many triggers of WRITERS clients at the same time were answered by anything but "accepted"."""

    def write(_: int) -> int:
        api = Api(port)
        asked = [api.call("POST", "/api/engine/trigger/bench%20first%20line", {}) for _ in range(writes)]
        return sum(status not in (200, 202) for status, _, _ in asked)

    with ThreadPoolExecutor(WRITERS) as clients:
        return sum(clients.map(write, range(WRITERS)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=whole, default=RUNS)
    parser.add_argument("--folder", type=Path, help="where the history is, or is made and kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="perfect-list-") as name:
        folder = arguments.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        measure(folder, arguments.runs).say()
