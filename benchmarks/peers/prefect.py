"""Prefect: its own server on SQLite, flows served by `serve(...)`, driven over its HTTP API."""

import http.client
import os
import signal
import time
from pathlib import Path
from typing import Any

from harness import Api, free_port, percentile

from peers import environment, load, steps
from peers.children import REST_S, SETTLE_S, Children, at_rest, tree
from peers.side import PATIENCE_S, Figures, NotDone, pauses, until

PROGRAMS = Path(__file__).parent / "programs"
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
START_S = 300
STAYS_AWAY_S = 20.0
SHOWN_S = 0.2  # to ask is not to be what its server is busy with
PAGE = 200  # the most that the API gives at once


class Prefect:
    title = "Prefect"
    sizes = {"many_runs": 20, "first_line": 4}
    notes = [
        "own server, SQLite (write-ahead log, synchronous = NORMAL), flows served by `serve(limit=20)`",
        "the time of tasks begins with the flow's first line: what Prefect takes to start a run is not in it",
        "each run is a process of its own, and triggers are found by a poll, each 10 s unless set otherwise",
        "triggers in W3 are spread evenly over the time between two polls",
        "W8: a writer asks once and counts what is not accepted; its own client asks again after a 503, and waits meanwhile",
        "W8: what was refused is written by one writer alone before the list is read, again and again until it is accepted",
        "left out: Postgres and Redis, which its documentation recommends for several servers",
    ]
    is_synced = False
    settings: dict[str, str] = {}
    poll_s = 10.0

    def __init__(self) -> None:
        self._children = Children()
        self._deployments: dict[str, str] = {}
        self._asked = 0

    def install(self) -> dict[str, str]:
        self._python = environment.python_of("prefect", ["prefect"], "import prefect.server.api.server")
        return {"prefect": environment.version_of(self._python, "prefect")}

    def start(self, folder: Path) -> Figures:
        self._folder, self._port = folder, free_port()
        self._environment = {
            "PREFECT_HOME": str(folder / "home"),
            "PREFECT_API_URL": f"http://127.0.0.1:{self._port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            **self.settings,
        }
        begin = time.monotonic()
        command = [
            str(self._python), "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port)
        ]  # fmt: skip
        server = self._children.start(command, self._environment, folder / "server.log")
        until("Prefect's server is healthy", self._is_healthy, START_S)
        cold_s = time.monotonic() - begin
        self._api = Api(self._port)
        served = self._children.start(
            [str(self._python), str(PROGRAMS / "prefect_program.py")],
            self._environment,
            folder / "served.log",
        )
        until("flows are served", self._found, START_S, every_s=0.2)
        self._pids = (server.pid, served.pid)
        return {"cold_start_s": cold_s}

    def rest(self) -> Figures:
        time.sleep(SETTLE_S)
        (server_mb, server_percent), (worker_mb, worker_percent) = (
            at_rest(tree(pid), REST_S) for pid in self._pids
        )
        return {
            "server_mb": server_mb,
            "worker_mb": worker_mb,
            "idle_percent": server_percent + worker_percent,
        }

    def warm(self) -> None:
        self._until_final(self._trigger("five", 5)[0])

    def stop(self) -> None:
        self._children.stop()
        self._deployments.clear()

    def sequential(self, count: int) -> Figures:
        code_s, shown_s = self._tasks("sequential", count)
        return {"sequential_code_s": code_s, "sequential_shown_s": shown_s}

    def fan_out(self, count: int) -> Figures:
        code_s, shown_s = self._tasks("fan-out", count)
        return {"fan_out_code_s": code_s, "fan_out_shown_s": shown_s}

    def many_runs(self, count: int) -> Figures:
        begin = time.monotonic()
        runs = [self._trigger("five", 5)[0] for _ in range(count)]
        asked = {"flow_runs": {"id": {"any_": runs}, "state": {"type": {"any_": ["COMPLETED"]}}}}
        self._until_count("/api/flow_runs/count", asked, count, every_s=0.2)
        return {"runs_per_s": count / (time.monotonic() - begin)}

    def first_line(self, count: int) -> Figures:
        took_ms = []
        for pause_s in pauses(count, self.poll_s):
            time.sleep(pause_s)
            before = time.time_ns()
            run, said = self._trigger("five", 0)
            took_ms.append((self._instants(said, 1)[0] - before) / 1e6)
            self._until_final(run)
        return {"first_line_p50_ms": percentile(took_ms, 50), "first_line_p95_ms": percentile(took_ms, 95)}

    def log_lines(self, count: int) -> Figures:
        run, said = self._trigger("lines", count)
        begin_ns = self._instants(said, 1)[0]
        ours = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC", "limit": PAGE}
        until(
            "all log lines are readable",
            lambda: self._post("/api/logs/filter", {**ours, "offset": count - 1}) or None,
            every_s=0.2,
        )
        for offset in range(0, count, PAGE):
            self._post("/api/logs/filter", {**ours, "offset": offset})
        return {"log_lines_s": (time.time_ns() - begin_ns) / 1e9}

    def kill(self, count: int) -> Figures:
        run, said = self._trigger("steps", count)
        pid = steps.reached(said, count // 5)[-1][1]
        os.kill(pid, signal.SIGKILL)
        killed_ns = time.time_ns()
        try:
            return {"resumed_s": steps.resumed_after_s(said, pid, killed_ns, STAYS_AWAY_S)}
        except NotDone as error:
            state = self._api.get(f"/api/flow_runs/{run}")["state_type"].capitalize()
            raise NotDone(f"{error}; the run is {state}") from None

    def run_list(self, count: int) -> Figures:
        flow = self._api.get("/api/flows/name/five")["id"]
        run = {"flow_id": flow, "parameters": {}, "state": {"type": "COMPLETED"}}
        refused_percent = load.refused_percent(self._port, "/api/flow_runs/", run, count)
        for _ in range(
            round(count * refused_percent / 100)
        ):  # so that the list is as long as on the other side
            self._post("/api/flow_runs/", run)
        asked = {"limit": 50, "sort": "START_TIME_DESC"}
        return {
            "refused_percent": refused_percent,
            "list_p95_ms": load.read_p95_ms(lambda: self._post("/api/flow_runs/filter", asked)),
        }

    def _tasks(self, flow: str, count: int) -> tuple[float, float]:
        run, said = self._trigger(flow, count)
        begin_ns, end_ns = self._instants(said, 2)
        asked = {
            "flow_runs": {"id": {"any_": [run]}},
            "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
        }
        self._until_count("/api/task_runs/count", asked, count, every_s=SHOWN_S)
        return (end_ns - begin_ns) / 1e9, (time.time_ns() - begin_ns) / 1e9

    def _trigger(self, flow: str, count: int) -> tuple[str, Path]:
        """The run, and the file that it writes to."""
        self._asked += 1
        said = self._folder / f"said-{self._asked}"
        run = self._post(
            f"/api/deployments/{self._deployments[flow]}/create_flow_run",
            {"parameters": {"said": str(said), "count": count}},
        )
        return run["id"], said

    def _instants(self, said: Path, count: int) -> list[int]:
        def written() -> list[int] | None:
            lines = said.read_text().split("\n") if said.exists() else []
            return [int(line) for line in lines[:count]] if len(lines) > count else None

        return until(f"the flow wrote {count} instants", written)

    def _until_count(self, path: str, asked: dict[str, Any], count: int, every_s: float) -> None:
        until(
            f"{path} is {count}",
            lambda: True if self._post(path, asked) >= count else None,
            PATIENCE_S,
            every_s,
        )

    def _until_final(self, run: str) -> None:
        until(
            "the run ends",
            lambda: True if self._api.get(f"/api/flow_runs/{run}")["state_type"] in FINAL else None,
            every_s=0.1,
        )

    def _found(self) -> bool | None:
        for one in self._post("/api/deployments/filter", {}):
            self._deployments[one["entrypoint"].rpartition(":")[2].replace("_", "-")] = one["id"]
        return True if len(self._deployments) == 5 else None

    def _is_healthy(self) -> bool | None:
        try:
            return True if Api(self._port).call("GET", "/api/health")[0] == 200 else None
        except (OSError, http.client.HTTPException):
            return None

    def _post(self, path: str, body: Any) -> Any:
        """Again after 503, as Prefect's own client does: the server refuses while its database is busy."""

        def asked() -> tuple[int, Any] | None:
            try:
                status, value, _ = self._api.call("POST", path, body)
            except (
                OSError,
                http.client.HTTPException,
            ):  # the server closed the connection while it was not used
                self._api = Api(self._port)
                return None
            return None if status == 503 else (status, value)

        status, value = until(f"POST {path} is not refused with 503", asked, every_s=0.2)
        if status not in (200, 201):
            raise NotDone(f"POST {path}: {status} {str(value)[:200]}")
        return value


class PrefectInBatches(Prefect):
    """Its best known settings for many short tasks, and for a quick start."""

    title = "Prefect, larger batches"
    notes = [
        *Prefect.notes[:2],
        "task-run recorder: read_batch_size and batch_size 100 instead of 1, flush_interval 1 s instead of 5 s",
        "each run is a process of its own, and triggers are found by a poll, set to its least, each second",
        "only what the settings change is measured: W6 to W8 are as in the other table",
    ]
    settings = {
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
    }
    poll_s = 1.0
