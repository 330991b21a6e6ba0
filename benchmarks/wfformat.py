"""Real workflows, replayed: executions in WfFormat 1.5 as runs of Perfect, each task asleep for as long as it ran, times a scale.

    python benchmarks/wfformat.py FILE… [--scale 0.01] [--concurrency N] [--style threads|asyncio] [--rounds 4]

Each workflow runs several times; progress and the forecast of the end are read over HTTP all the while and held against
what came to pass. The figures are those of the last round, `progress_error_first` excepted: before the first there is no
history. Without files, the small workflow of the tests.
"""

import argparse
import itertools
import json
import os
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import processes
from arguments import whole
from dag import Dag
from harness import HERE, Api, report, system

SMALL = HERE.parent / "tests" / "support" / "small_workflow.json"
DEFAULT_THREADS = 64  # that the SDK starts at most, when nobody says how many
LOOKS = 60
FINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")


class Look(NamedTuple):
    """What was shown at an instant: progress 0–1, and when the run would be done."""

    at: datetime
    progress: float
    eta: datetime | None


class Replay(NamedTuple):
    """looks: while it ran. shown_s: from the trigger until the API shows the end and every task."""

    run: dict[str, Any]
    looks: list[Look]
    shown_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", default=[SMALL])
    parser.add_argument(
        "--scale", type=float, default=0.01, help="seconds asleep for each second of the trace"
    )
    parser.add_argument(
        "--concurrency", type=int, default=0, help="tasks at a time (default: the SDK's own limit)"
    )
    parser.add_argument("--style", choices=["threads", "asyncio"], default="threads")
    parser.add_argument("--rounds", type=whole, default=4, help="a forecast needs three runs before it")
    asked = parser.parse_args()
    os.environ |= {
        "DAG_FILES": json.dumps([str(file.resolve()) for file in asked.files]),
        "DAG_SCALE": str(asked.scale),
        "DAG_CONCURRENCY": str(asked.concurrency),
        "DAG_STYLE": asked.style,
    }
    width = asked.concurrency or (DEFAULT_THREADS if asked.style == "threads" else None)
    for file in asked.files:
        dag = Dag.load(file)
        with system(processes=1, flows=HERE / "dag_flows.py") as running:
            rounds = [replay(running.api, dag, asked.scale) for _ in range(asked.rounds)]
            peaks = peaks_mb()
        said(dag, rounds, peaks, width=width or len(dag.steps), scale=asked.scale, style=asked.style)


def replay(api: Api, dag: Dag, scale: float) -> Replay:
    """Raises RuntimeError when not every task of the workflow was completed."""
    every_s = max(dag.critical_path_s * scale / LOOKS, 0.01)
    began = time.monotonic()
    run_id = api.trigger(dag.name)
    looks: list[Look] = []
    while True:
        run = api.get(f"/api/engine/runs/{run_id}")
        if run["state"] in FINAL:
            break
        if run["state"] == "RUNNING":
            looks.append(Look(datetime.now(UTC), run["progress"] / 100, moment(run["eta_p50"])))
        time.sleep(every_s)
    tasks = completed(api, run_id)
    shown_s = time.monotonic() - began
    if run["state"] != "COMPLETED" or tasks != len(dag.steps):
        raise RuntimeError(f"{dag.name}: {run['state']}, {tasks} of {len(dag.steps)} tasks: {run['error']}")
    return Replay(run, looks, shown_s)


def completed(api: Api, run_id: str) -> int:
    path, count = f"/api/engine/runs/{run_id}/tasks?limit=1000", 0
    while path:
        _, tasks, headers = api.call("GET", path)
        count += sum(task["state"] == "COMPLETED" for task in tasks)
        link = {name.lower(): value for name, value in headers.items()}.get("link", "")
        path = link[link.index("<") + 1 : link.index(">")] if "<" in link else ""
    return count


def said(
    dag: Dag, rounds: list[Replay], peaks: dict[str, float], *, width: int, scale: float, style: str
) -> None:
    makespan_s = statistics.median(one.run["duration_ms"] / 1000 for one in rounds)
    bound_s, ideal_s = dag.bound_s(width) * scale, dag.makespan_s(width) * scale
    last = rounds[-1]
    figures = {
        "scale": scale,
        "style": style,
        "concurrency": width,
        "tasks": len(dag.steps),
        "edges": sum(len(step.parents) for step in dag.steps),
        "depth": dag.depth,
        "makespan_s": round(makespan_s, 3),
        "critical_path_s": round(dag.critical_path_s * scale, 3),
        "bound_s": round(bound_s, 3),
        "ideal_s": round(ideal_s, 3),
        "overhead_percent": round((makespan_s / ideal_s - 1) * 100, 1),
        "overhead_ms_a_task": round((makespan_s - ideal_s) * 1000 / len(dag.steps), 2),
        "progress_error": progress_error(last),
        "progress_error_first": progress_error(rounds[0]),
        "looks": len(last.looks),
        "progress_falls": sum(falls(one) for one in rounds),
        "eta_error": eta_error(last),
        "until_shown_s": round(statistics.median(one.shown_s for one in rounds), 3),
        "peak_mb": peaks,
    }
    report(
        dag.name,
        f"{figures['tasks']:,} tasks, {dag.depth} deep: {makespan_s:.2f} s where {ideal_s:.2f} s were possible "
        f"({figures['overhead_percent']:+.1f} %, critical path {figures['critical_path_s']:.2f} s); shown after "
        f"{figures['until_shown_s']:.2f} s; progress {percent(figures['progress_error'])} off "
        f"(first run {percent(figures['progress_error_first'])}), its end "
        f"{percent(figures['eta_error'])} off; "
        f"peak {', '.join(f'{name} {size:.0f} MB' for name, size in peaks.items())}",
        **figures,
    )


def progress_error(one: Replay) -> float | None:
    """The mean of how far the API's progress was from the share of the time that had passed; both 0–1.

    The API counts what is done; a page adds what follows from time alone. So tasks that run side by side and end together
    are half a run off here, and a run shorter than a second hardly gets looks.
    """
    begin, end = span(one.run)
    off = [abs(look.progress - (look.at - begin) / (end - begin)) for look in one.looks if look.at < end]
    return round(statistics.fmean(off), 3) if off else None


def percent(share: float | None) -> str:
    return "unknown how far" if share is None else f"{share * 100:.0f} %"


def falls(one: Replay) -> int:
    shown = [look.progress for look in one.looks]
    return sum(after < before for before, after in itertools.pairwise(shown))


def eta_error(one: Replay) -> float | None:
    """The median of how far the forecast end was from the end, as a share of the run's duration; None without."""
    begin, end = span(one.run)
    off = [abs((look.eta - end) / (end - begin)) for look in one.looks if look.eta is not None]
    return round(statistics.median(off), 3) if off else None


def span(run: dict[str, Any]) -> tuple[datetime, datetime]:
    return datetime.fromisoformat(run["start_time"]), datetime.fromisoformat(run["end_time"])


def peaks_mb() -> dict[str, float]:
    return {
        role: round(processes.peak_mb(pid), 1)
        for pid, role in processes.below().items()
        if role == "worker" or role.startswith("executor")
    }


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None


if __name__ == "__main__":
    main()
