"""The gateway's side of the HTTP client's protocol, in memory: what `create_client(mock=True)` talks to."""

import queue
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from perfect_schemas import ids
from perfect_schemas.errors import Conflicting, NotFound


class MemoryTransport:
    """flows: id → definition; logs: run id → lines; states: run id → report, without what says who reported."""

    def __init__(self) -> None:
        self.flows: dict[str, dict[str, Any]] = {}
        self.logs: dict[str, list[str]] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.client_id = ids.uuid7()
        self._requests: queue.Queue[tuple[str, Any] | None] = queue.Queue()
        self._open: set[str] = set()
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
            raise NotFound(f"there is no flow {flow!r}")
        run_id = ids.uuid7()
        self._open.add(run_id)
        request = {
            "run_id": run_id,
            "flow_id": flow_id,
            "flow_name": self.flows[flow_id]["name"],
            "configuration": configuration,
            "parameters": parameters or {},
            "tags": [],
            "client_id": self.client_id,
            "epoch": 1,
        }
        self._requests.put(("execution", request))
        return run_id

    def cancel(self, run_id: str) -> None:
        """Want a run ended. Raises Conflicting when it has ended."""
        if run_id not in self._open:
            raise Conflicting(f"run {run_id} has ended already")
        self._requests.put(("cancel", {"run_id": run_id, "epoch": 1}))

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
            return self._end(run_id, body)
        return {}

    def _end(self, run_id: str, body: dict[str, Any]) -> dict[str, Any]:
        if run_id not in self._open:
            raise Conflicting(f"this listener does not hold run {run_id}")
        self._open.discard(run_id)
        with self._ended:
            self.states[run_id] = {
                name: value for name, value in body.items() if name not in ("client_id", "epoch")
            }
            self._ended.notify_all()
        return {"run_id": run_id, "state": body["state"]}

    def listen(self, path: str) -> Iterator[tuple[str, Any]]:
        query = parse_qs(urlsplit(path).query)
        held = [one.partition(":")[0] for text in query.get("holding", []) for one in text.split(",")]
        yield (
            "hello",
            {
                "client_id": self.client_id,
                "resumed": [{"run_id": run_id, "epoch": 1} for run_id in held if run_id in self._open],
                "revoked": [run_id for run_id in held if run_id not in self._open],
            },
        )
        while (request := self._requests.get()) is not None:
            yield request

    def close(self) -> None:
        self._requests.put(None)
