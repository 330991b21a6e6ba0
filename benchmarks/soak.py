"""A long time in one system: does anything grow, does it get slower?

    python benchmarks/soak.py [--tasks 1000000] [--folder FOLDER]

Runs of fifty tasks, many at a time, until so many tasks are done. Every ten seconds: the memory of each process (PSS), what
the read model and the streams take on disk, how long the home page, the list of runs and the page of a run took. At the end
the slope of each, MB per 100,000 tasks by least squares, without the first fifth, in which everything warms up. 1,000,000
tasks take some ten minutes on two cores.
"""

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import processes
from arguments import whole
from harness import Api, System, percentile, report, system

FLOW = "bench sequential tasks"
TASKS = 50
UNDER_WAY = 40
EVERY_S = 10.0
ASK_EVERY_S = 0.25
TICK_S = 0.05
STALLED_S = 60.0
WARM = 0.2
PER = 100_000


class Sample(NamedTuple):
    """tasks: done until then. pss_mb: process → memory. disk_mb: what → size. took_ms: page → what its answers took since
    the sample before.
    """

    tasks: int
    at_s: float
    pss_mb: dict[str, float]
    disk_mb: dict[str, float]
    took_ms: dict[str, list[float]]


def main(tasks: int, folder: Path | None) -> None:
    with system(folder=folder) as running:
        samples = list(soak(running, tasks))
        api = running.api
        lost = [run for run in api.get("/api/engine/runs?limit=50&state=problem") if run["flow_name"] == FLOW]
        checks = [check["name"] for check in api.get("/api/integrity")["checks"] if not check["ok"]]
    if lost:
        raise RuntimeError(f"{len(lost)} runs or more did not complete: {lost[0]['id']} {lost[0]['error']}")
    said(samples, checks)


def soak(running: System, tasks: int) -> Iterator[Sample]:
    api, runs = running.api, -(-tasks // TASKS)
    begin = asked = sampled = moved = time.monotonic()
    triggered = done = 0
    took: dict[str, list[float]] = {}
    last_run = ""
    yield sample(running, 0, 0.0, took)
    while done < runs:
        while triggered < runs and triggered - done < UNDER_WAY:
            last_run = api.trigger(FLOW, count=TASKS)
            triggered += 1
        time.sleep(TICK_S)
        before, done = done, completed(api)
        now = time.monotonic()
        moved = now if done > before else moved
        if now - moved > STALLED_S:
            raise RuntimeError(f"no run has completed for {STALLED_S:.0f} s: {done:,} of {triggered:,} have")
        if now - asked >= ASK_EVERY_S:
            asked = now
            for name, path in pages(last_run).items():
                took.setdefault(name, []).append(answer_ms(api, path))
        if now - sampled >= EVERY_S or done >= runs:
            sampled = now
            one = sample(running, done * TASKS, now - begin, took)
            took = {}
            print_sample(one)
            yield one


def completed(api: Api) -> int:
    """Runs that the statistics of the flow count: the read model knows their ends."""
    flows = api.get(f"/api/statistics?flow={FLOW.replace(' ', '%20')}")["flows"]
    return sum(flow["sample_count"] for flow in flows)


def pages(run_id: str) -> dict[str, str]:
    return {"home": "/", "list": "/runs", "api_list": "/api/engine/runs?limit=50", "run": f"/runs/{run_id}"}


def answer_ms(api: Api, path: str) -> float:
    begin = time.perf_counter()
    status = api.read(path)
    if status != 200:
        raise RuntimeError(f"GET {path}: {status}")
    return (time.perf_counter() - begin) * 1000


def sample(running: System, tasks: int, at_s: float, took: dict[str, list[float]]) -> Sample:
    pss: dict[str, float] = {}
    for pid, role in processes.below().items():
        name = role
        while name in pss:
            name += "'"
        pss[name] = round(processes.pss_mb(pid), 1)
    folder = running.folder
    disk = {
        "duckdb": megabytes(folder / "perfect.duckdb"),
        "duckdb_wal": megabytes(folder / "perfect.duckdb.wal"),
        "streams": sum(megabytes(file) for file in (folder / "nats").rglob("*")),
    }
    return Sample(tasks, at_s, pss, disk, took)


def megabytes(file: Path) -> float:
    try:
        return file.stat().st_size / 1e6 if file.is_file() else 0.0
    except FileNotFoundError:  # streams end their files as they go
        return 0.0


def print_sample(one: Sample) -> None:
    memory = "  ".join(f"{name} {size:.0f}" for name, size in one.pss_mb.items())
    pages = "  ".join(f"{name} {statistics.median(took):.0f}" for name, took in one.took_ms.items())
    disk = "  ".join(f"{name} {size:.0f}" for name, size in one.disk_mb.items())
    print(f"  {one.at_s:5.0f} s {one.tasks:9,} tasks  MB: {memory}  disk MB: {disk}  ms: {pages}", flush=True)


def said(samples: list[Sample], checks: list[str]) -> None:
    end = samples[-1]
    kept = [one for one in samples if one.tasks >= WARM * end.tasks]
    slopes = {name: slope(kept, name) for name in end.pss_mb if all(name in one.pss_mb for one in kept)}
    disk = {name: round(size, 1) for name, size in end.disk_mb.items()}
    bytes_a_task = round((disk["duckdb"] + disk["streams"]) * 1e6 / end.tasks)
    quick = {name: latency(kept, name) for name in pages("")}
    steepest = max(slopes, key=lambda name: slopes[name] or 0.0)
    report(
        "soak",
        f"{end.tasks:,} tasks in {end.at_s:.0f} s ({end.tasks / end.at_s:,.0f}/s); steepest: {steepest} "
        f"{slopes[steepest]} MB per {PER:,} tasks; {bytes_a_task} bytes on disk a task; p95 "
        + ", ".join(f"{name} {found['p95_ms']:.0f} ms" for name, found in quick.items())
        + (f"; integrity: {', '.join(checks)}" if checks else "; the read model agrees with the log"),
        tasks=end.tasks,
        seconds=round(end.at_s, 1),
        tasks_per_s=round(end.tasks / end.at_s),
        slope_mb_per_100k=slopes,
        end_mb=end.pss_mb,
        disk_mb=disk,
        bytes_a_task=bytes_a_task,
        pages=quick,
        integrity=checks or "ok",
    )


def slope(samples: list[Sample], name: str) -> float | None:
    """MB per 100,000 tasks by least squares; None when the samples are too few to say."""
    if len(samples) < 3:
        return None
    tasks, sizes = [one.tasks / PER for one in samples], [one.pss_mb[name] for one in samples]
    return round(statistics.linear_regression(tasks, sizes).slope, 2)


def latency(samples: list[Sample], name: str) -> dict[str, Any]:
    """Of all answers; and the median of the first and of the last third, between which the history has grown."""
    third = max(len(samples) // 3, 1)
    every, first, last = (
        [ms for one in part for ms in one.took_ms.get(name, ())]
        for part in (samples, samples[:third], samples[-third:])
    )
    if len(every) < 2:
        return {"p50_ms": None, "p95_ms": float("nan")}
    return {
        "p50_ms": round(percentile(every, 50), 1),
        "p95_ms": round(percentile(every, 95), 1),
        "first_third_ms": round(statistics.median(first or every), 1),
        "last_third_ms": round(statistics.median(last or every), 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", type=whole, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where the data is, and is kept")
    arguments = parser.parse_args()
    main(arguments.tasks, arguments.folder)
