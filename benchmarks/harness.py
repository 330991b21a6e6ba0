"""A whole system in processes of its own, as a user starts it, and a small HTTP client to drive it."""

import compileall
import contextlib
import http.client
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGES = tuple(HERE.parent / name for name in ("schemas", "perfect_sdk", "services", "ui"))
LOOK_S = 0.015  # who waits is not to be what the gateway and the read model are busy with
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
IDLE_S = 2.0


class OneWrite(http.client.HTTPConnection):
    """Head and body leave in one segment, as from curl, Go and browsers; by itself http.client sends two."""

    def endheaders(self, message_body: Any = None, *, encode_chunked: bool = False) -> None:
        if self.sock is None:
            self.connect()
        self._held = bytearray()
        super().endheaders(message_body, encode_chunked=encode_chunked)
        self.sock.sendall(self._held)

    def send(self, data: Any) -> None:
        self._held += data


class Api:
    """One keep-alive connection to the gateway; a new one after a pause, when the server may have closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = OneWrite("127.0.0.1", port, timeout=60)
        self._used = 0.0

    def call(
        self, method: str, path: str, body: Any = None, accept: str | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json"} if data is not None else {}
        if accept is not None:
            headers["Accept"] = accept
        self._begin()
        self._connection.request(method, path, data, headers)
        response = self._connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None, dict(response.getheaders())

    def read(self, path: str) -> int:
        """The status, when all of the answer is there."""
        self._begin()
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        response.read()
        return response.status

    def _begin(self) -> None:
        now = time.monotonic()
        if now > self._used + IDLE_S:
            self._connection.close()
        self._used = now

    def get(self, path: str) -> Any:
        status, value, _ = self.call("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status} {value}")
        return value

    def trigger(self, flow: str, **parameters: Any) -> str:
        status, value, _ = self.call(
            "POST", f"/api/engine/trigger/{flow.replace(' ', '%20')}", {"parameters": parameters}
        )
        if status not in (200, 202):
            raise RuntimeError(f"trigger {flow}: {status} {value}")
        return value["id"]

    def wait(self, run_id: str, timeout_s: float = 120) -> dict[str, Any]:
        """The run once the read model shows it as final."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            run = self.get(f"/api/engine/runs/{run_id}")
            if run["state"] in ENDED:
                return run
            time.sleep(LOOK_S)
        raise TimeoutError(f"run {run_id} is {run['state']} after {timeout_s} s")


class System:
    def __init__(self, port: int, folder: Path, up: subprocess.Popen[bytes], ready_s: float) -> None:
        self.port = port
        self.folder = folder
        self.up = up
        self.ready_s = ready_s
        self.workers: list[subprocess.Popen[bytes]] = []
        self.api = Api(port)

    def processes(self) -> list[int]:
        """`perfect up` and everything that it started."""
        return self._below(self.up.pid)

    def worker_processes(self) -> list[int]:
        """Every worker with its executors."""
        return [pid for worker in self.workers if worker.poll() is None for pid in self._below(worker.pid)]

    def _below(self, root: int) -> list[int]:
        found = [root]
        for pid in found:
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in children.read_text().split()]
        return found

    def process(self, service: str) -> int:
        """The process of the service."""
        for pid in self.processes():
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if "service" in words and service in words[words.index("service") :]:
                return pid
        raise LookupError(f"no process runs the service {service}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def system(
    *,
    workers: int = 1,
    processes: int | None = None,
    flows: Path = HERE / "flows.py",
    folder: Path | None = None,
    durability: str = "default",
) -> Iterator[System]:
    """`perfect up` and `workers` workers, ended at the end. folder: of its data; None: a new one that is removed."""
    with contextlib.ExitStack() as temporary:
        if folder is None:
            folder = Path(temporary.enter_context(tempfile.TemporaryDirectory(prefix="perfect-bench-")))
        port = free_port()
        environment = {
            **os.environ,
            "PERFECT_DATA_DIR": str(folder),
            "PERFECT_PORT": str(port),
            "PERFECT_DURABILITY": durability,
        }
        _compile()
        started = time.monotonic()
        up = _start(["up"], environment, folder / "up.log")
        children = [up]
        try:
            running = System(port, folder, up, _healthy(port, up, started, folder / "up.log"))
            for n in range(workers):
                command = ["worker", str(flows), "--name", f"bench-{n}"]
                command += ["--processes", str(processes)] if processes else []
                running.workers.append(_start(command, environment, folder / f"worker-{n}.log"))
                children.append(running.workers[-1])
            _clients(running.api, workers)
            yield running
        finally:
            for child in reversed(children):
                child.send_signal(signal.SIGTERM)
                child.wait(timeout=15)


def _compile() -> None:
    """As pip leaves what it installs. An editable installation has no byte code where nobody may write it
    (PYTHONDONTWRITEBYTECODE), and is compiled at every start.
    """
    for package in PACKAGES:
        compileall.compile_dir(package, quiet=2)


def _start(arguments: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(
            [Path(sys.executable).with_name("perfect"), *arguments], env=environment, stdout=out, stderr=out
        )


def _healthy(port: int, up: subprocess.Popen[bytes], started: float, log: Path) -> float:
    while time.monotonic() < started + 30:
        if up.poll() is not None:
            raise RuntimeError(f"perfect up ended with {up.returncode}:\n{log.read_text()[-2000:]}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if Api(port).call("GET", "/api/health")[0] == 200:
                return time.monotonic() - started
        time.sleep(0.01)
    raise TimeoutError(f"perfect up is not healthy after 30 s:\n{log.read_text()[-2000:]}")


def _clients(api: Api, count: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if len([client for client in api.get("/api/clients") if client["state"] == "CONNECTED"]) >= count:
            return
        time.sleep(0.02)
    raise TimeoutError(f"not all of {count} workers are there after 30 s")


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def report(name: str, sentence: str, **figures: Any) -> None:
    """One JSON line for programs, one line for people."""
    print(json.dumps({"benchmark": name, **figures}))
    print(f"{name}: {sentence}")
