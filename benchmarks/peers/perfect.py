"""Perfect's side of a comparison: `perfect up` and one worker, as in the benchmarks of its own."""

import contextlib
import importlib.metadata
import os
import signal
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import log_lines
import throughput
import trigger_latency
from harness import Api, percentile, system

from peers import steps
from peers.children import at_rest
from peers.side import PATIENCE_S, Figures

REST_S = 5.0
WRITERS = 8
WARM = 20


class Perfect:
    title = "Perfect"
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
        time.sleep(2)
        server_mb, server_percent = at_rest(self._running.processes(), REST_S)
        worker_mb, worker_percent = at_rest(self._running.worker_processes(), REST_S)
        self.sequential(WARM)
        self.first_line(WARM)
        return {
            "cold_start_s": self._running.ready_s,
            "server_mb": server_mb,
            "worker_mb": worker_mb,
            "idle_percent": server_percent + worker_percent,
        }

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
        def write(_: int) -> int:
            api = Api(self._running.port)
            path = "/api/engine/trigger/bench%20first%20line"
            return sum(api.call("POST", path, {})[0] not in (200, 202) for _ in range(count // WRITERS))

        with ThreadPoolExecutor(WRITERS) as clients:
            refused = sum(clients.map(write, range(WRITERS)))
        took_ms = []
        for _ in range(60):
            before = time.perf_counter()
            self._api.read("/api/engine/runs?limit=50")
            took_ms.append((time.perf_counter() - before) * 1000)
        return {"list_p95_ms": percentile(took_ms, 95), "refused_percent": 100 * refused / count}
