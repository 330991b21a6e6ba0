"""The client for programs that speak HTTP only: they register flows, are told of executions, and report.

    client = create_client("http://127.0.0.1:3000")
    client.register_flow({"name": "report", "tasks": [{"name": "render", "weight": 1}]})
    client.on_execution_request(lambda run_id, flow_id, configuration, parameters: …)
    client.listen_for_executions()                       # blocks

What it says to the gateway:

- `POST /api/engine/register` with the definition; 201 (or 200 when known), the answer's `id` is the flow's.
- `GET /api/client/executions?flows=<id>,<id>`: server-sent events, each named `execution`, with the JSON object
  `{run_id, flow_id, configuration, parameters}` as data. Whoever receives one executes that run.
- `POST /api/engine/runs/{run_id}/state` with `{"state": "COMPLETED"}` when the callback returned, or
  `{"state": "FAILED", "error": "…"}` when it raised.
- `POST /api/engine/runs/{run_id}/logs` with `{"log": "…"}` or `{"logs": ["…", …]}`.

`mock=True` keeps everything in memory behind the same code: `client.transport.trigger("report", parameters={…})`.
"""

import contextlib
import http.client
import json
import logging
import queue
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from perfect_schemas import ids
from perfect_schemas.commands import RegisterFlow
from perfect_schemas.errors import BusUnavailable, PerfectError, Problem, ServiceUnavailable, from_problem

TIMEOUT_S = 10.0
RECONNECT_S = (0.2, 5.0)
SILENCE_S = 60.0

Callback = Callable[[str, str, str, dict[str, Any]], Any]
_log = logging.getLogger("perfect.client")


class Transport(Protocol):
    def post(self, path: str, body: Any) -> Any:
        """The decoded JSON answer. Raises PerfectError."""

    def listen(self, path: str) -> Iterator[tuple[str, Any]]:
        """(event name, decoded data), until `close` or the end of the connection. Raises PerfectError."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends every `listen`, from any thread."""


class HttpTransport:
    """The standard library's HTTP. base_url: of the gateway, `http://…`."""

    def __init__(self, base_url: str) -> None:
        self._base = base_url.rstrip("/")
        if urllib.parse.urlsplit(self._base).scheme not in ("http", "https"):
            raise ValueError(f"base_url begins with http:// or https://, not {base_url!r}")
        self._open: set[http.client.HTTPResponse] = set()
        self._closed = False
        self._lock = threading.Lock()

    def post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310  the scheme is checked above
            self._base + path,
            data=msgspec.json.encode(body),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            method="POST",
        )
        with self._answer(request, TIMEOUT_S) as answer:
            data = answer.read()
        return json.loads(data) if data else None

    def listen(self, path: str) -> Iterator[tuple[str, Any]]:
        request = urllib.request.Request(  # noqa: S310
            self._base + path, headers={"Accept": "text/event-stream"}
        )
        with self._answer(request, SILENCE_S) as answer:
            with self._lock:
                self._open.add(answer)
            try:
                yield from _events(answer)
            except (OSError, ValueError, http.client.HTTPException) as error:
                if not self._closed:
                    raise ServiceUnavailable(f"the connection to {self._base} broke: {error}") from error
            finally:
                with self._lock:
                    self._open.discard(answer)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            answers = list(self._open)
        for answer in answers:
            _shut(answer)

    def _answer(self, request: urllib.request.Request, timeout: float) -> Any:
        try:
            return urllib.request.urlopen(request, timeout=timeout)  # noqa: S310
        except urllib.error.HTTPError as error:
            with error:
                raise from_problem(_problem(error)) from None
        except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise ServiceUnavailable(
                f"no Perfect gateway answers at {self._base} ({reason}): is `perfect up` running?"
            ) from error


def _shut(answer: http.client.HTTPResponse) -> None:
    """Wake up a reader that waits for the next line."""
    import socket

    with contextlib.suppress(Exception):
        raw: Any = answer.fp
        raw.raw._sock.shutdown(socket.SHUT_RDWR)


def _problem(error: urllib.error.HTTPError) -> Problem:
    data = error.read()
    try:
        return msgspec.json.decode(data, type=Problem)
    except msgspec.DecodeError:
        return Problem(
            status=error.code, title=error.reason, detail=data.decode(errors="replace")[:500] or error.reason
        )


def _events(lines: Iterator[bytes] | Any) -> Iterator[tuple[str, Any]]:
    """Server-sent events: (name, data as JSON). Comments (pings) are passed over."""
    name, data = "message", []
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        if not line:
            if data:
                yield name, json.loads("\n".join(data))
            name, data = "message", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)


class MemoryTransport:
    """Answers like the gateway, from memory. flows: id → definition; logs: run id → lines; states: run id → report."""

    def __init__(self) -> None:
        self.flows: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[str]] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self._requests: queue.Queue[tuple[str, Any] | None] = queue.Queue()
        self._ended = threading.Condition()

    def trigger(
        self,
        flow: str,
        *,
        configuration: str = "development",
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Ask for an execution of a registered flow, by id or name. Returns the run's id."""
        flow_id = flow if flow in self.flows else ids.flow_id(flow)
        if flow_id not in self.flows:
            raise from_problem(Problem(status=404, title="Not found", detail=f"there is no flow {flow!r}"))
        run_id = ids.uuid7()
        request = {
            "run_id": run_id,
            "flow_id": flow_id,
            "configuration": configuration,
            "parameters": parameters or {},
        }
        self._requests.put(("execution", request))
        return run_id

    def wait(self, run_id: str, timeout: float = 10.0) -> dict[str, Any]:
        """The report of a run's end. Raises TimeoutError."""
        with self._ended:
            if not self._ended.wait_for(lambda: run_id in self.states, timeout):
                raise TimeoutError(f"run {run_id} has not ended after {timeout:g} s")
            return self.states[run_id]

    def post(self, path: str, body: Any) -> Any:
        body = msgspec.to_builtins(body)
        if path == "/api/engine/register":
            flow_id = ids.flow_id(body["name"])
            self.flows[flow_id] = body
            return {"id": flow_id, "name": body["name"]}
        _, _, rest = path.partition("/api/engine/runs/")
        run_id, _, verb = rest.partition("/")
        if verb == "logs":
            self.logs.setdefault(run_id, []).extend(body["logs"] if "logs" in body else [body["log"]])
        elif verb == "state":
            with self._ended:
                self.states[run_id] = body
                self._ended.notify_all()
        return {}

    def listen(self, path: str) -> Iterator[tuple[str, Any]]:
        del path
        while (request := self._requests.get()) is not None:
            yield request

    def close(self) -> None:
        self._requests.put(None)


class PerfectAPIClient:
    """Each method that returns a bool says whether it was accepted; why not is logged as a warning.

    transport: how it talks; the memory transport of a mock client can trigger executions.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self._flows: dict[str, str] = {}
        self._callback: Callback | None = None
        self._stop = threading.Event()

    def register_flow(self, definition: Mapping[str, Any] | RegisterFlow | Any) -> bool:
        """definition: `{name, description, tags, tasks: [{name, weight, estimated_time}], schedule?, parameters?}`,
        or a Flow. Executions of it are then asked of this client.
        """
        known = getattr(definition, "definition", definition)
        body = msgspec.to_builtins(known)
        try:
            answer = self.transport.post("/api/engine/register", body)
        except PerfectError as error:
            return self._refused(f"flow {body.get('name')!r} was not registered", error)
        flow_id = (answer or {}).get("id") or (answer or {}).get("flow_id") or ids.flow_id(body["name"])
        self._flows[flow_id] = body["name"]
        return True

    def send_log(self, run_id: str, log: str | Sequence[str]) -> bool:
        """One line, or several at once."""
        body = {"log": log} if isinstance(log, str) else {"logs": list(log)}
        try:
            self.transport.post(f"/api/engine/runs/{run_id}/logs", body)
        except PerfectError as error:
            return self._refused(f"log lines of run {run_id} were not accepted", error)
        return True

    def on_execution_request(self, callback: Callback) -> Callback:
        """`callback(run_id, flow_id, configuration, parameters)` executes a run: its return completes the run, an
        exception fails it. Called in a thread of its own for each execution. Usable as a decorator.
        """
        self._callback = callback
        return callback

    def listen_for_executions(self) -> None:
        """Blocks until `stop` is called; connects again after a break.

        Raises ValueError when there is no callback or no registered flow.
        """
        if self._callback is None:
            raise ValueError("say what to execute first: on_execution_request(callback)")
        if not self._flows:
            raise ValueError("there is nothing to listen for: register_flow(…) first")
        path = "/api/client/executions?flows=" + ",".join(self._flows)
        pause = RECONNECT_S[0]
        while not self._stop.is_set():
            try:
                for name, data in self.transport.listen(path):
                    pause = RECONNECT_S[0]
                    if name == "execution":
                        self._begin(data)
            except PerfectError as error:
                if not isinstance(error, (ServiceUnavailable, BusUnavailable)):
                    raise
                self._refused("not listening for executions", error)
            if self._stop.wait(pause):
                return
            pause = min(pause * 2, RECONNECT_S[1])

    def stop(self) -> None:
        """Ends `listen_for_executions`; executions that have begun go on."""
        self._stop.set()
        self.transport.close()

    def _begin(self, data: dict[str, Any]) -> None:
        name = f"run-{data['run_id']}"
        threading.Thread(target=self._execute, args=(data,), name=name, daemon=True).start()

    def _execute(self, data: dict[str, Any]) -> None:
        run_id = data["run_id"]
        assert self._callback is not None
        try:
            self._callback(run_id, data["flow_id"], data["configuration"], data["parameters"])
        except BaseException as error:
            report = {"state": "FAILED", "error": f"{type(error).__name__}: {error}"}
        else:
            report = {"state": "COMPLETED"}
        try:
            self.transport.post(f"/api/engine/runs/{run_id}/state", report)
        except PerfectError as error:
            self._refused(f"the end of run {run_id} ({report['state']}) was not accepted", error)

    @staticmethod
    def _refused(what: str, error: PerfectError) -> bool:
        _log.warning("%s: %s", what, error)
        return False


def create_client(base_url: str = "http://127.0.0.1:3000", mock: bool = False) -> PerfectAPIClient:
    """A client of the gateway at `base_url`; `mock=True`: of nothing but memory, behind the same code."""
    return PerfectAPIClient(MemoryTransport() if mock else HttpTransport(base_url))
