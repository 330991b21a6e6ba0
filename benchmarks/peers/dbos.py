"""DBOS: a library in the program's own process, with its system database in SQLite."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import percentile

from peers import environment, postgres, steps
from peers.children import REST_S, SETTLE_S, Children, at_rest, tree
from peers.side import Figures, NotDone, pauses

PROGRAMS = Path(__file__).parent / "programs"
WARM = 20
POLL_S, QUICK_S = 1.0, 0.02  # what it polls its queue by unless set otherwise, and what it is set to
PAUSE_S = 0.05
QUEUE = "bench"
QUEUE_FOUND_S = 2.5  # its program looks for new queues each second


class Dbos:
    title = "DBOS, SQLite"
    is_synced = True
    sizes = {"first_line": 20}
    notes = [
        "a library: there is no server; workflows are called in the process that runs them, which is the fastest way",
        "SQLite with the library's settings (rollback journal, synced at each commit)",
        "a queue with worker_concurrency=20, polled each second unless set otherwise, which gives 20 runs a poll",
        "rows that say so have a queue polled each 20 ms, which costs a query each time, also when idle",
        "a trigger comes from another process by its client, since there is no HTTP",
        "triggers in W3 are spread evenly over the time between two polls",
        "W8 is its client's list_workflows(limit=50) and enqueue, in another process, since there is no HTTP",
        "cold start is the program's, until its library has made its tables; log lines are not part of the library",
        "after the kill, the program is started again by hand at once",
    ]
    environment = "dbos"
    requirements = ["dbos"]

    def __init__(self) -> None:
        self._children = Children()
        self._queues = 0

    def install(self) -> dict[str, str]:
        self._python = environment.python_of(self.environment, self.requirements, "import dbos")
        return {name: environment.version_of(self._python, name) for name in self.requirements}

    def start(self, folder: Path) -> Figures:
        self._folder = folder
        begin = time.monotonic()
        self._environment = {"BENCH_DATABASE": self._database(folder)}
        self._launch()
        cold_s = time.monotonic() - begin
        self._client = self._python_process("dbos_client.py")
        return {"cold_start_s": cold_s}

    def rest(self) -> Figures:
        time.sleep(SETTLE_S)
        server_mb, server_percent = at_rest(self._servers(), REST_S)
        worker_mb, worker_percent = at_rest(tree(self._program.pid), REST_S)
        return {
            "server_mb": server_mb,
            "worker_mb": worker_mb,
            "idle_percent": server_percent + worker_percent,
        }

    def warm(self) -> None:
        self.sequential(WARM)
        self._do("first_line", count=WARM)

    def stop(self) -> None:
        self._children.stop()

    def sequential(self, count: int) -> Figures:
        return {"sequential_shown_s": self._do("sequential", count=count)}

    def fan_out(self, count: int) -> Figures:
        return {"fan_out_shown_s": self._do("fan_out", count=count)}

    def many_runs(self, count: int) -> Figures:
        took_s = self._do("many_runs", queue=QUEUE, count=count)
        with self._quick() as queue:
            quick_s = self._do("many_runs", queue=queue, count=count)
        return {"runs_per_s": count / took_s, "quick_runs_per_s": count / quick_s}

    def first_line(self, count: int) -> Figures:
        took_ms = self._ask_client("first_line", queue=QUEUE, pauses_s=pauses(count, POLL_S))
        with self._quick() as queue:
            pauses_s = [PAUSE_S + one for one in pauses(count, QUICK_S)]
            quick_ms = self._ask_client("first_line", queue=queue, pauses_s=pauses_s)
        inside_ms = self._do("first_line", count=count)
        return {
            "first_line_p50_ms": percentile(took_ms, 50),
            "first_line_p95_ms": percentile(took_ms, 95),
            "quick_first_line_p50_ms": percentile(quick_ms, 50),
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

    def run_list(self, count: int) -> Figures:
        refused = self._ask_client("write", queue=QUEUE, count=count)
        return {
            "refused_percent": 100 * refused / count,
            "list_p95_ms": percentile(self._ask_client("list"), 95),
        }

    @contextlib.contextmanager
    def _quick(self) -> Iterator[str]:
        """A queue that is polled each QUICK_S. It is a new one: one that is there takes up a shorter time by and by."""
        self._queues += 1
        queue = f"{QUEUE} quick {self._queues}"
        self._do("open", queue=queue, every_s=QUICK_S)
        time.sleep(QUEUE_FOUND_S)
        try:
            yield queue
        finally:
            self._do("rest", queue=queue)

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
        return _ask(self._program, {"do": what, **asked})

    def _ask_client(self, what: str, **asked: Any) -> Any:
        return _ask(self._client, {"do": what, **asked})


class DbosOnPostgres(Dbos):
    """What its documentation recommends beyond a first try."""

    title = "DBOS, Postgres"
    notes = [
        Dbos.notes[0],
        f"{postgres.SETTINGS}; its memory and its processor are the server parts",
        *Dbos.notes[2:],
        "the cold start holds a new database server, too, whose part of it stands in a row of its own",
    ]

    def install(self) -> dict[str, str]:
        self._programs = postgres.programs()
        return super().install() | {"postgres": postgres.version(self._programs)}

    def start(self, folder: Path) -> Figures:
        figures = super().start(folder)
        return figures | {"database_start_s": self._database_s}

    def _database(self, folder: Path) -> str:
        begin = time.monotonic()
        url, self._server = postgres.start(self._children, self._programs, folder)
        self._database_s = time.monotonic() - begin
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
    return json.loads(line)["value"]
