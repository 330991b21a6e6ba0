"""The client for programs that speak HTTP only: they register flows, are told of executions, and report.

    client = create_client("http://127.0.0.1:3000")
    client.register_flow({"name": "report", "tasks": [{"name": "render", "weight": 1}]})
    client.on_execution_request(lambda run_id, flow_id, configuration, parameters: …)
    client.listen_for_executions()                       # blocks

What it says to the gateway:

- `POST /api/engine/register` with the definition; 201, the answer's `id` is the flow's.
- `GET /api/client/executions?flows=<id>,<id>&name=…&slots=<n>`: server-sent events with JSON data. `hello` comes first.
  `execution` `{run_id, flow_id, configuration, parameters, client_id, epoch, …}` is executed here; `cancel` wants one
  ended, `revoked` says that one is not this client's any more. While the connection is open, its runs are its own. When
  it breaks, the client connects again with `client_id=<of that connection>&holding=<run>:<epoch>,…`: within one lease
  (5 s) it goes on with what it executes (`resumed` in `hello` has the new epochs), later the runs are given to others.
- `POST /api/engine/runs/{run_id}/state` with `{"state": "COMPLETED", "result": …}` when the callback returned, or
  `{"state": "FAILED", "error": {kind, message, traceback}}` when it raised, and the `client_id` and `epoch` of the
  execution. Repeated until it is answered; 409 when the run is not this client's any more.
- `POST /api/engine/runs/{run_id}/logs` with `{"log": "…"}` or `{"logs": ["…", …]}`.

`mock=True` keeps everything in memory behind the same code: `client.transport.trigger("report", parameters={…})`.
"""

import logging
import os
import socket
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from perfect_schemas import ids
from perfect_schemas.commands import RegisterFlow
from perfect_schemas.errors import Conflicting, Failed, InvalidInput, PerfectError, TooLarge
from perfect_sdk.http.memory import MemoryTransport
from perfect_sdk.http.transport import HttpTransport, Transport

__all__ = ["HttpTransport", "MemoryTransport", "PerfectAPIClient", "Transport", "create_client"]

PAUSE_S = (0.2, 2.0)  # between attempts, the first and the longest: well below a lease
MOST_TEXT = 100_000  # characters of an error

Callback = Callable[[str, str, str, dict[str, Any]], Any]
_log = logging.getLogger("perfect.client")


class _Execution:
    """A run that is executed here. epoch: of the claim that it is reported under, which a new connection renews."""

    __slots__ = ("cancelled", "client_id", "epoch", "gone", "run_id")

    def __init__(self, run_id: str, client_id: str, epoch: int) -> None:
        self.run_id = run_id
        self.client_id = client_id
        self.epoch = epoch
        self.cancelled = False
        self.gone = False


class PerfectAPIClient:
    """Each method that returns a bool says whether it was accepted; why not is logged as a warning.

    transport: how it talks; the memory transport of a mock client can trigger executions. name: shown with the runs.
    slots: how many executions go on at once.
    """

    def __init__(self, transport: Transport, *, name: str | None = None, slots: int = 1) -> None:
        self.transport = transport
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"
        self.slots = slots
        self._flows: dict[str, str] = {}
        self._callback: Callback | None = None
        self._on_cancel: Callable[[str], Any] | None = None
        self._client_id: str | None = None
        self._executing: dict[str, _Execution] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._connected = threading.Event()  # `hello` was heard: the claims known here are the valid ones

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
        flow_id = (answer or {}).get("id") or ids.flow_id(body["name"])
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
        """`callback(run_id, flow_id, configuration, parameters)` executes a run: its return completes the run (with
        what it returns as the result, if that is JSON), an exception fails it. Called in a thread of its own for each
        execution. Usable as a decorator.
        """
        self._callback = callback
        return callback

    def on_cancel(self, callback: Callable[[str], Any]) -> Callable[[str], Any]:
        """`callback(run_id)` hears that an execution is to end, or is no longer this client's. Usable as a decorator."""
        self._on_cancel = callback
        return callback

    def is_cancelled(self, run_id: str) -> bool:
        """Whether an execution is to end: for a callback to ask now and then."""
        execution = self._executing.get(run_id)
        return execution is None or execution.cancelled

    def listen_for_executions(self) -> None:
        """Blocks until `stop` is called; connects again after a break.

        Raises ValueError when there is no callback or no registered flow, PerfectError when the gateway refuses.
        """
        if self._callback is None:
            raise ValueError("say what to execute first: on_execution_request(callback)")
        if not self._flows:
            raise ValueError("there is nothing to listen for: register_flow(…) first")
        pause = PAUSE_S[0]
        while not self._stop.is_set():
            self._connected.clear()
            try:
                for name, data in self.transport.listen(self._path()):
                    pause = PAUSE_S[0]
                    self._heard(name, data)
            except Failed as error:
                self._refused("not listening for executions, trying again", error)
            if self._stop.wait(pause):
                return
            pause = min(pause * 2, PAUSE_S[1])

    def stop(self) -> None:
        """Ends `listen_for_executions`. Executions that have begun go on, but others may be given their runs."""
        self._stop.set()
        self.transport.close()

    # -- listening

    def _path(self) -> str:
        query = {"flows": ",".join(self._flows), "name": self.name, "slots": self.slots}
        with self._lock:
            held = [one for one in self._executing.values() if one.client_id == self._client_id]
        if held:
            query["client_id"] = self._client_id
            query["holding"] = ",".join(f"{one.run_id}:{one.epoch}" for one in held if not one.gone)
        return "/api/client/executions?" + urlencode(query, safe=",:")

    def _heard(self, name: str, data: Any) -> None:
        if name == "hello":
            with self._lock:
                self._client_id = data["client_id"]
                for one in data["resumed"]:
                    execution = self._executing.get(one["run_id"])
                    if execution is not None:
                        execution.client_id, execution.epoch = data["client_id"], one["epoch"]
            for run_id in data["revoked"]:
                self._cancel(run_id, gone=True)
            self._connected.set()
        elif name == "execution":
            self._begin(data)
        elif name == "cancel":
            self._cancel(data["run_id"])
        elif name == "revoked":
            self._cancel(data["run_id"], gone=True)

    def _cancel(self, run_id: str, *, gone: bool = False) -> None:
        execution = self._executing.get(run_id)
        if execution is None:
            return
        execution.gone |= gone
        told, execution.cancelled = execution.cancelled, True
        if self._on_cancel is not None and not told:
            try:
                self._on_cancel(run_id)
            except Exception:
                _log.exception("on_cancel(%r) failed", run_id)

    # -- executing

    def _begin(self, data: dict[str, Any]) -> None:
        execution = _Execution(data["run_id"], data["client_id"], data["epoch"])
        with self._lock:
            self._executing[execution.run_id] = execution
        name = f"run-{execution.run_id}"
        threading.Thread(target=self._execute, args=(execution, data), name=name, daemon=True).start()

    def _execute(self, execution: _Execution, data: dict[str, Any]) -> None:
        assert self._callback is not None
        try:
            result = self._callback(
                execution.run_id, data["flow_id"], data["configuration"], data["parameters"]
            )
        except BaseException as error:
            kind = f"{type(error).__module__}:{type(error).__qualname__}"
            text = "".join(traceback.format_exception(error))[-MOST_TEXT:]
            message = str(error)[:MOST_TEXT]
            report = {"state": "FAILED", "error": {"kind": kind, "message": message, "traceback": text}}
        else:
            report = {"state": "COMPLETED"} | ({} if result is None else self._encoded(execution, result))
        try:
            try:
                self._report(execution, report)
            except (TooLarge, InvalidInput) as error:  # not for ever RUNNING because of its result
                message = f"its result was refused: {error.detail}"
                self._report(execution, {"state": "FAILED", "error": message})
        except PerfectError as error:
            self._refused(f"the end of run {execution.run_id} ({report['state']}) was not accepted", error)
        finally:
            with self._lock:
                if self._executing.get(execution.run_id) is execution:
                    del self._executing[execution.run_id]

    def _encoded(self, execution: _Execution, result: Any) -> dict[str, Any]:
        try:
            return {"result": msgspec.json.decode(msgspec.json.encode(result))}
        except (TypeError, ValueError) as error:
            _log.warning("the result of run %s is no JSON and is not kept: %s", execution.run_id, error)
            return {}

    def _report(self, execution: _Execution, report: dict[str, Any]) -> None:
        """Until it is answered. A new connection may renew the claim meanwhile: then under the new one.

        Raises what it is refused with.
        """
        pause = PAUSE_S[0]
        while True:
            with self._lock:
                claim = execution.client_id, execution.epoch
            try:
                self.transport.post(
                    f"/api/engine/runs/{execution.run_id}/state",
                    {**report, "client_id": claim[0], "epoch": claim[1]},
                )
            except Conflicting:
                is_settled = self._connected.is_set()
                with self._lock:
                    is_same = claim == (execution.client_id, execution.epoch)
                if execution.gone or self._stop.is_set() or (is_settled and is_same):
                    raise
            except Failed:
                if self._stop.is_set() or execution.gone:
                    raise
            else:
                return
            self._stop.wait(pause)
            pause = min(pause * 2, PAUSE_S[1])

    @staticmethod
    def _refused(what: str, error: PerfectError) -> bool:
        _log.warning("%s: %s", what, error)
        return False


def create_client(
    base_url: str = "http://127.0.0.1:3000", mock: bool = False, *, name: str | None = None, slots: int = 1
) -> PerfectAPIClient:
    """A client of the gateway at `base_url`; `mock=True`: of nothing but memory, behind the same code.

    name: shown with the runs (default: host name and process id). slots: how many executions go on at once.
    """
    return PerfectAPIClient(MemoryTransport() if mock else HttpTransport(base_url), name=name, slots=slots)
