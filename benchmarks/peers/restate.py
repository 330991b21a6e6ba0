"""Restate: the server that npm brings, and a service of the Python SDK, called over the server's ingress."""

import http.client
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from harness import Api, free_port, percentile

from peers import environment, load, steps
from peers.children import REST_S, SETTLE_S, Children, at_rest, tree
from peers.side import Figures, NotDone, until

PROGRAMS = Path(__file__).parent / "programs"
SERVER = "restate-server"
PACKAGE = "@restatedev/restate-server"
CLIENTS = 20
PAUSE_S = 0.05
WARM = 20
NEWEST = "SELECT id, target, status, created_at FROM sys_invocation ORDER BY created_at DESC LIMIT 50"
HYPERCORN = """\
bind = "127.0.0.1:{port}"
h2_max_concurrent_streams = 2147483647
keep_alive_max_requests = 2147483647
keep_alive_timeout = 2147483647
workers = {workers}
"""


class Restate:
    title = "Restate"
    is_synced = True
    sizes: dict[str, int] = {}
    notes = [
        "server from npm with its defaults (24 partitions, its log synced), on one node",
        "a Python service behind Hypercorn, set up as for production, with a process for each core",
        "calls wait for their result at the ingress; what a handler did is in Restate's journal by then",
        "cold start is the server's, until its health and its ingress' are good; the service is the worker",
        "W8 is SQL over HTTP (sys_invocation, newest first, limit 50), as its own page asks; log lines are not part of it",
        "after the kill, Hypercorn ends as a whole; the service is started again by hand at once",
    ]

    def __init__(self) -> None:
        self._children = Children()

    def install(self) -> dict[str, str]:
        self._program = environment.program_of(SERVER, PACKAGE, "restate-server")
        self._python = environment.python_of(
            "restate", ["restate-sdk", "hypercorn"], "import restate, hypercorn"
        )
        return {
            "restate-server": environment.npm_version_of(SERVER, PACKAGE),
            "restate-sdk": environment.version_of(self._python, "restate-sdk"),
        }

    def start(self, folder: Path) -> Figures:
        self._folder = folder
        ingress, admin, node, self._service_port = (free_port() for _ in range(4))
        settings = {
            "RESTATE_BASE_DIR": str(folder / "data"),
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LISTEN_MODE": "tcp",
            "RESTATE_BIND_IP": "127.0.0.1",
            "RESTATE_BIND_PORT": str(node),
            "RESTATE_INGRESS__BIND_PORT": str(ingress),
            "RESTATE_ADMIN__BIND_PORT": str(admin),
        }
        begin = time.monotonic()
        server = self._children.start([str(self._program)], settings, folder / "server.log")
        until("Restate's server is healthy", lambda: _is_healthy(admin, "/health"), 60)
        until("Restate's ingress is healthy", lambda: _is_healthy(ingress, "/restate/health"), 60)
        cold_s = time.monotonic() - begin
        self._port = ingress
        self._api = Api(ingress)
        self._serve()
        status, value, _ = Api(admin).call(
            "POST", "/deployments", {"uri": f"http://127.0.0.1:{self._service_port}"}
        )
        if status not in (200, 201):
            raise NotDone(f"the service was not registered: {status} {value}")
        self._queries, self._server = Api(admin), server.pid
        return {"cold_start_s": cold_s}

    def rest(self) -> Figures:
        time.sleep(SETTLE_S)
        server_mb, server_percent = at_rest(tree(self._server), REST_S)
        worker_mb, worker_percent = at_rest(tree(self._service.pid), REST_S)
        return {
            "server_mb": server_mb,
            "worker_mb": worker_mb,
            "idle_percent": server_percent + worker_percent,
        }

    def warm(self) -> None:
        self.sequential(WARM)
        self.first_line(WARM)

    def stop(self) -> None:
        self._children.stop()

    def sequential(self, count: int) -> Figures:
        return {"sequential_shown_s": self._timed("sequential", count)}

    def fan_out(self, count: int) -> Figures:
        return {"fan_out_shown_s": self._timed("fan_out", count)}

    def many_runs(self, count: int) -> Figures:
        own = threading.local()

        def call(_: int) -> None:
            own.api = getattr(own, "api", None) or Api(self._port)
            _called(own.api, "sequential", 5)

        begin = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(call, range(count)))
        return {"runs_per_s": count / (time.monotonic() - begin)}

    def first_line(self, count: int) -> Figures:
        took_ms = []
        for _ in range(count):
            before = time.time_ns()
            took_ms.append((_called(self._api, "first_line") - before) / 1e6)
            time.sleep(PAUSE_S)
        return {"first_line_p50_ms": percentile(took_ms, 50), "first_line_p95_ms": percentile(took_ms, 95)}

    def log_lines(self, count: int) -> Figures:  # noqa: ARG002 as of every side
        raise NotDone("it keeps no log lines")

    def kill(self, count: int) -> Figures:
        said = self._folder / f"steps-{time.time_ns()}"
        asked = {"said": str(said), "count": count}
        _called(self._api, "steps/send", asked)
        pid = steps.reached(said, count // 5)[-1][1]
        killed_ns = time.time_ns()
        os.kill(pid, signal.SIGKILL)
        until("Hypercorn ends", lambda: None if self._service.poll() is None else True, 30)
        self._serve()
        resumed_s = steps.resumed_after_s(said, pid, killed_ns, 30)
        steps.reached(said, count)
        return {"resumed_s": resumed_s}

    def run_list(self, count: int) -> Figures:
        return {
            "refused_percent": load.refused_percent(self._port, "/Bench/first_line/send", None, count),
            "list_p95_ms": load.read_p95_ms(self._list),
        }

    def _list(self) -> None:
        """Its answers are in Arrow unless JSON is asked for."""
        status, found, _ = self._queries.call("POST", "/query", {"query": NEWEST}, accept="application/json")
        if status != 200 or len(found["rows"]) != 50:
            raise NotDone(f"POST /query: {status} {str(found)[:200]}")

    def _serve(self) -> None:
        config = self._folder / "hypercorn.toml"
        config.write_text(HYPERCORN.format(port=self._service_port, workers=os.cpu_count()))
        program = [str(self._python), "-m", "hypercorn", "--config", str(config), "restate_program:app"]
        self._service = self._children.start(
            program, {"PYTHONPATH": str(PROGRAMS)}, self._folder / "service.log"
        )
        until("the service answers", lambda: _is_open(self._service_port), 60)

    def _timed(self, handler: str, count: int) -> float:
        begin = time.monotonic()
        result = _called(self._api, handler, count)
        if result != sum(range(count)):
            raise RuntimeError(f"{handler} of {count} tasks gave {result}")
        return time.monotonic() - begin


def _called(api: Api, handler: str, body: Any = None) -> Any:
    status, value, _ = api.call("POST", f"/Bench/{handler}", body)
    if status not in (200, 202):
        raise NotDone(f"{handler}: {status} {str(value)[:200]}")
    return value


def _is_healthy(port: int, path: str) -> bool | None:
    try:
        return True if Api(port).read(path) == 200 else None
    except (OSError, http.client.HTTPException):
        return None


def _is_open(port: int) -> bool | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.connect()
    except OSError:
        return None
    connection.close()
    return True
