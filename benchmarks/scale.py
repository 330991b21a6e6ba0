"""How fast answers come from a read model with a long history: idle, and while events come in.

A history of `--runs` runs of five tasks and ten log lines each goes through the projector's own write loop; then a whole
system starts on it and is asked over HTTP. Milliseconds, median and 95th percentile, and the processor time that projector
and gateway take for an answer, which a busy machine does not blur. 1,000,000 runs are 5 million task
runs and 10 million log lines: a quarter of an hour, 2 GB of disk.

    python benchmarks/scale.py [--runs 20000] [--folder FOLDER]

A folder is filled once and kept: the next measurement with it begins at once.
"""

import argparse
import asyncio
import os
import random
import re
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import shapes
from arguments import whole
from harness import Api, percentile, report, system
from history import History, fill
from traffic import traffic

from perfect_bus.connection import Connection
from perfect_bus.settings import Settings
from perfect_projector import cursor
from perfect_schemas.envelope import utc_now

EVENTS_PER_S = 2000
ROUNDS = 60
WARM_ROUNDS = 3
SETTLE_S = 2


def main(runs: int, folder: Path) -> None:
    kept = folder / "history.json"
    if kept.exists():
        history, filled = msgspec.json.decode(kept.read_bytes(), type=History), {}
    else:
        history = History(runs=runs, end=utc_now())
        filled = asyncio.run(fill(Settings(data_dir=folder), history))
        print(
            f"made {history.runs:,} runs of {history.tasks} tasks and {history.lines} log lines in {folder}: {filled}"
        )
        kept.write_bytes(msgspec.json.encode(history))
    with system(workers=0, folder=folder) as running:
        pid = running.process("projector")
        begin_mb = resident_mb(pid, "VmRSS")
        questions = questions_of(history)
        ask(running.api, questions, WARM_ROUNDS)
        idle = ask(running.api, questions, ROUNDS)
        pids = [pid, running.process("gateway")]
        cpu = {name: processor_ms(running.api, path, pids) for name, path in questions.items()}
        with traffic(Connection.load(folder / "connection.json"), EVENTS_PER_S):
            time.sleep(SETTLE_S)
            busy = ask(running.api, questions, ROUNDS)
        figures = {
            name: {"idle": quantiles(idle[name]), "busy": quantiles(busy[name]), "cpu_ms": cpu[name]}
            for name in questions
        }
        end_mb, most_mb = resident_mb(pid, "VmRSS"), resident_mb(pid, "VmHWM")
    for name, found in figures.items():
        print(
            f"  {name:15} idle {found['idle']}  at {EVENTS_PER_S:,} events/s {found['busy']}  cpu {found['cpu_ms']} ms"
        )
    slow = [
        name for name, pair in figures.items() if pair["busy"]["p50_ms"] > 20 or pair["busy"]["p95_ms"] > 60
    ]
    report(
        "scale",
        f"{history.runs:,} runs, {history.runs * history.tasks:,} task runs, {history.runs * history.lines:,} log lines; "
        f"slower than 20 ms (p50) or 60 ms (p95) under load: {', '.join(slow) or 'nothing'}; "
        f"projector {end_mb} MB",
        runs=history.runs,
        task_runs=history.runs * history.tasks,
        log_lines=history.runs * history.lines,
        **filled,
        rss_begin_mb=begin_mb,
        rss_end_mb=end_mb,
        rss_most_mb=most_mb,
        file_mb=(folder / "perfect.duckdb").stat().st_size >> 20,
        questions=figures,
    )


def questions_of(history: History) -> dict[str, Any]:
    """name → what makes the path of one question: other runs and flows each time."""
    numbers = random.Random(1)
    runs = "/api/engine/runs"

    def any_run() -> str:
        return history.run_id(numbers.randrange(history.runs))

    def any_flow() -> str:
        return shapes.flow_id(numbers.randrange(shapes.FLOWS))

    def deep() -> str:
        number = numbers.randrange(history.runs // 4, history.runs)
        at = history.at(number).replace(tzinfo=None)
        return cursor.encode(at.isoformat(), history.run_id(number))

    def week() -> str:
        since = history.end - timedelta(days=numbers.randrange(7, 15))
        return f"since={since:%Y-%m-%dT%H:%M:%SZ}&until={since + timedelta(days=3):%Y-%m-%dT%H:%M:%SZ}"

    return {
        "list": lambda: f"{runs}?limit=50",
        "of_flow": lambda: f"{runs}?limit=50&flow={any_flow()}",
        "flow_and_state": lambda: f"{runs}?limit=50&flow={any_flow()}&state=FAILED",
        "state": lambda: f"{runs}?limit=50&state=problem",
        "active": lambda: f"{runs}?limit=50&state=active",
        "tag": lambda: f"{runs}?limit=50&tag=nightly",
        "rare_tag": lambda: f"{runs}?limit=50&tag=rare",
        "configuration": lambda: f"{runs}?limit=50&configuration=release",
        "days": lambda: f"{runs}?limit=50&{week()}",
        "deep_page": lambda: f"{runs}?limit=50&cursor={deep()}",
        "text": lambda: f"{runs}?limit=50&text=bench%2049",
        "rare_text": lambda: f"{runs}?limit=50&text={any_run()[9:]}",
        "run": lambda: f"{runs}/{any_run()}",
        "tasks": lambda: f"{runs}/{any_run()}/tasks?limit=1000",
        "logs": lambda: f"{runs}/{any_run()}/logs?limit=1000",
        "events": lambda: f"{runs}/{any_run()}/events?limit=1000",
        "run_page": lambda: f"/runs/{any_run()}",
        "list_page": lambda: "/runs",
        "home_page": lambda: "/",
        "statistics": lambda: f"/api/statistics?flow={any_flow()}",
        "flow": lambda: f"/api/engine/flows/{any_flow()}",
        "flow_page": lambda: f"/flows/{any_flow()}",
        "statistics_page": lambda: "/statistics",
    }


def ask(api: Api, questions: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """name → how long each answer took, ms."""
    took: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(rounds):
        for name, path in questions.items():
            asked = path()
            begin = time.perf_counter()
            status = api.read(asked)
            took[name].append((time.perf_counter() - begin) * 1000)
            if status != 200:
                raise RuntimeError(f"GET {asked}: {status}")
    return took


def processor_ms(api: Api, path: Callable[[], str], pids: list[int]) -> float:
    """What the processes take for one answer, when nothing else goes on."""
    begin = sum(map(spent_s, pids))
    for _ in range(ROUNDS):
        api.read(path())
    return round((sum(map(spent_s, pids)) - begin) * 1000 / ROUNDS, 1)


def spent_s(pid: int) -> float:
    """Processor time of all threads of a process."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def quantiles(took: list[float]) -> dict[str, float]:
    return {"p50_ms": round(percentile(took, 50), 1), "p95_ms": round(percentile(took, 95), 1)}


def resident_mb(pid: int, field: str) -> int:
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) >> 10 if found else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=whole, default=20_000)
    parser.add_argument("--folder", type=Path, help="where the history is, or is made and kept")
    arguments = parser.parse_args()
    if arguments.folder is None:
        with tempfile.TemporaryDirectory(prefix="perfect-scale-") as name:
            main(arguments.runs, Path(name))
    else:
        arguments.folder.mkdir(parents=True, exist_ok=True)
        main(arguments.runs, arguments.folder)
