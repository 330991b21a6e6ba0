"""The HTTP client: the same code against memory and against a server."""

import http.server
import json
import threading

import pytest

from perfect_schemas import ids
from perfect_schemas.errors import Conflicting
from perfect_sdk import create_client, flow, task
from perfect_sdk.http.client import MemoryTransport

DEFINITION = {"name": "report", "description": "", "tags": [], "tasks": [{"name": "render", "weight": 2}]}


@pytest.fixture
def listening():
    """A thread that listens until the test is over."""
    threads = []

    def listen(client):
        thread = threading.Thread(target=client.listen_for_executions)
        thread.start()
        threads.append((client, thread))

    yield listen
    for client, thread in threads:
        client.stop()
        thread.join(60)
        assert not thread.is_alive()


def test_a_mock_client_executes_what_is_triggered(listening):
    client = create_client(mock=True)
    assert client.register_flow(DEFINITION) is True
    got = []

    @client.on_execution_request
    def execute(run_id, flow_id, configuration, parameters):
        assert client.send_log(run_id, "begins")
        assert client.send_log(run_id, ["one", "two"])
        got.append((flow_id, configuration, parameters))
        if parameters.get("fails"):
            raise ValueError("no")

    listening(client)
    transport = client.transport
    assert isinstance(transport, MemoryTransport)
    good = transport.trigger("report", configuration="debug", parameters={"a": 1})
    bad = transport.trigger(ids.flow_id("report"), parameters={"fails": True})
    assert transport.wait(good) == {"state": "COMPLETED"}
    report = transport.wait(bad)
    assert report["state"] == "FAILED"
    assert (report["error"]["kind"], report["error"]["message"]) == ("builtins:ValueError", "no")
    assert "in execute" in report["error"]["traceback"]
    assert (ids.flow_id("report"), "debug", {"a": 1}) in got
    assert transport.logs[good] == ["begins", "one", "two"]
    with pytest.raises(Exception, match="there is no flow 'other'"):
        transport.trigger("other")


def test_results_cancellation_and_what_is_no_json(listening, caplog):
    client = create_client(mock=True)
    client.register_flow(DEFINITION)
    told = threading.Event()

    @client.on_execution_request
    def execute(run_id, flow_id, configuration, parameters):
        if parameters.get("wait"):
            assert told.wait(60)
            assert client.is_cancelled(run_id)
        return object() if parameters.get("odd") else {"n": [1, 2]}

    @client.on_cancel
    def cancelled(run_id):
        told.set()

    listening(client)
    transport = client.transport
    assert transport.wait(transport.trigger("report")) == {"state": "COMPLETED", "result": {"n": [1, 2]}}
    assert transport.wait(transport.trigger("report", parameters={"odd": True})) == {"state": "COMPLETED"}
    assert "is no JSON and is not kept" in caplog.text
    waiting = transport.trigger("report", parameters={"wait": True})
    transport.cancel(waiting)
    assert transport.wait(waiting)["state"] == "COMPLETED"
    with pytest.raises(Conflicting):
        transport.cancel(waiting)


def test_a_flow_object_can_be_registered():
    @task(weight=3)
    def step() -> None: ...

    @flow
    def with_code(n: int) -> None:
        step()

    client = create_client(mock=True)
    assert client.register_flow(with_code)
    stored = client.transport.flows[with_code.id]
    assert stored["tasks"][0]["weight"] == 3
    assert stored["parameters"]["required"] == ["n"]


def test_listening_needs_something_to_do():
    client = create_client(mock=True)
    with pytest.raises(ValueError, match="on_execution_request"):
        client.listen_for_executions()
    client.on_execution_request(lambda *_: None)
    with pytest.raises(ValueError, match="register_flow"):
        client.listen_for_executions()
    with pytest.raises(ValueError, match="http://"):
        create_client("ftp://x")


def test_no_gateway(caplog):
    client = create_client("http://127.0.0.1:9")
    assert client.register_flow(DEFINITION) is False
    assert "is `perfect up` running?" in caplog.text


class Gateway(http.server.BaseHTTPRequestHandler):
    """The few routes that the client speaks to."""

    posts: list[tuple[str, dict]] = []
    connections: list[str] = []
    began = threading.Event()
    renewed = threading.Event()
    reported = threading.Event()

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.posts.append((self.path, body))
        if body.get("name") == "refused":
            return self.answer(422, {"status": 422, "title": "Invalid input", "detail": "name: is refused"})
        if self.path.endswith("/state") and body["epoch"] == 1:
            self.renewed.wait(60)  # the connection broke and the claim is renewed while this is reported
            return self.answer(409, {"status": 409, "title": "Conflict", "detail": "it is epoch 2 by now"})
        self.answer(201, {"id": ids.flow_id(body.get("name", ""))})
        if self.path.endswith("/state"):
            self.reported.set()
        return None

    def do_GET(self):
        self.connections.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        first = len(self.connections) == 1
        resumed = [] if first else [{"run_id": "r1", "epoch": 2}]
        self.say("hello", {"client_id": f"c{len(self.connections)}", "resumed": resumed, "revoked": []})
        self.wfile.write(b": ping\n\nevent: other\ndata: {}\n\n")
        if first:
            request = {"run_id": "r1", "flow_id": "f", "configuration": "development", "parameters": {}}
            self.say("execution", {**request, "client_id": "c1", "epoch": 1})
            self.began.wait(60)
        else:
            self.renewed.set()
        if len(self.connections) > 1:  # the first connection breaks, the second one stays
            self.rfile.read(1)

    def say(self, name, data):
        self.wfile.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def gateway():
    Gateway.posts.clear()
    Gateway.connections.clear()
    for event in (Gateway.began, Gateway.renewed, Gateway.reported):
        event.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_http_with_a_connection_that_breaks(gateway, listening, caplog):
    client = create_client(gateway)
    assert client.register_flow(DEFINITION)
    assert not client.register_flow({"name": "refused"})
    assert "name: is refused" in caplog.text

    @client.on_execution_request
    def execute(run_id, *_):
        client.send_log(run_id, "x")
        Gateway.began.set()

    listening(client)
    assert Gateway.reported.wait(60)
    flow_id = ids.flow_id("report")
    first, second = Gateway.connections[:2]
    assert first == f"/api/client/executions?flows={flow_id}&name={client.name}&slots=1"
    assert second == f"{first}&client_id=c1&holding=r1:1"
    assert "/api/engine/runs/r1/logs" in [path for path, _ in Gateway.posts]
    reports = [body for path, body in Gateway.posts if path == "/api/engine/runs/r1/state"]
    assert reports[-1] == {"state": "COMPLETED", "client_id": "c2", "epoch": 2}
