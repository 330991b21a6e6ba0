"""Perfect's side of a comparison: `perfect up` and one worker, as in the benchmarks of its own."""

import contextlib
import importlib.metadata
import os
import signal
import tempfile
import time
from pathlib import Path

import log_lines
import throughput
import trigger_latency
from harness import percentile, system

from peers import load, steps
from peers.children import REST_S, SETTLE_S, at_rest
from peers.side import PATIENCE_S, Figures

WRITE = "/api/engine/trigger/bench%20first%20line"
WARM = 20


class Perfect:
    title = "Perfect"
    is_synced = False
    sizes: dict[str, int] = {}
    notes: list[str] = []

    def __init__(self, durability: str = "default") -> None:
        self._durability = durability
        self._open = contextlib.ExitStack()

    def install(self) -> dict[str, str]:
        return {"perfect": importlib.metadata.version("perfect-flow")}

    def start(self, folder: Path) -> Figures:
        self._running = self._open.enter_context(system(folder=folder, durability=self._durability))
        self._api = self._running.api
        return {"cold_start_s": self._running.ready_s}

    def rest(self) -> Figures:
        time.sleep(SETTLE_S)
        server_mb, server_percent = at_rest(self._running.processes(), REST_S)
        worker_mb, worker_percent = at_rest(self._running.worker_processes(), REST_S)
        return {
            "server_mb": server_mb,
            "worker_mb": worker_mb,
            "idle_percent": server_percent + worker_percent,
        }

    def warm(self) -> None:
        self.sequential(WARM)
        self.first_line(WARM)

    def stop(self) -> None:
        self._open.close()

    def sequential(self, count: int) -> Figures:
        return {"sequential_shown_s": throughput.timed_run(self._api, "bench sequential tasks", count)}

    def many_runs(self, count: int) -> Figures:
        return {"runs_per_s": count / throughput.many_runs(self._api, count)}

    def first_line(self, count: int) -> Figures:
        took_ms = trigger_latency.latencies(self._running, count)
        return {"first_line_p50_ms": percentile(took_ms, 50), "first_line_p95_ms": percentile(took_ms, 95)}

    def fan_out(self, count: int) -> Figures:
        return {"fan_out_shown_s": throughput.timed_run(self._api, "bench fan out", count)}

    def log_lines(self, count: int) -> Figures:
        return {"log_lines_s": log_lines.shown_after_s(self._api, count)}

    def kill(self, count: int) -> Figures:
        with tempfile.TemporaryDirectory(prefix="perfect-kill-") as folder:
            said = Path(folder) / "steps"
            run_id = self._api.trigger("bench steps", path=str(said), count=count)
            pid = steps.reached(said, count // 5)[-1][1]
            killed_ns = time.time_ns()
            os.kill(pid, signal.SIGKILL)
            resumed_s = steps.resumed_after_s(said, pid, killed_ns, PATIENCE_S)
            self._api.wait(run_id)
        return {"resumed_s": resumed_s}

    def run_list(self, count: int) -> Figures:
        return {
            "refused_percent": load.refused_percent(self._running.port, WRITE, {}, count),
            "list_p95_ms": load.read_p95_ms(lambda: self._api.get("/api/engine/runs?limit=50")),
        }
