"""The command line without a running system: parsing, errors, exit codes, what is imported."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from perfect_sdk.cli import main
from perfect_sdk.cli.exits import FAILED, NOT_INSTALLED, NOT_RUNNING, OK, USAGE, Exit
from perfect_sdk.cli.output import show_duration
from perfect_sdk.cli.parameters import parse_parameters


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == OK
    text = capsys.readouterr().out
    for command in (
        "worker",
        "run",
        "trigger",
        "runs",
        "flows",
        "config",
        "version",
        "up",
        "service",
        "demo",
    ):
        assert f"\n    {command} " in text


def test_help_imports_neither_nats_nor_a_service() -> None:
    code = (
        "import sys, importlib.metadata as m; m.entry_points = lambda **_: []; "  # what this package itself costs
        "from perfect_sdk.cli import main; main(['--help']); "
        "print({'nats', 'duckdb', 'litestar', 'asyncio', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["runs"], ["worker"], ["trigger", "f", "--config", "fast"]]
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == USAGE
    said = capsys.readouterr()
    assert "usage: perfect" in said.out + said.err


@pytest.mark.parametrize(
    "arguments",
    [["runs", "ls"], ["flows", "ls"], ["trigger", "etl"], ["worker", "flows.py"], ["runs", "cancel", "x"]],
)
def test_nothing_running(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == NOT_RUNNING
    assert "no Perfect system found: start one with `perfect up`" in capsys.readouterr().err


def test_nobody_answers_at_the_url(unused_tcp_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "ls", "--url", f"http://127.0.0.1:{unused_tcp_port}"]) == NOT_RUNNING
    assert "nothing answers at" in capsys.readouterr().err


def test_server_commands_without_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [])
    assert main(["up", "--port", "3001"]) == NOT_INSTALLED
    assert "perfect up needs the extra [server]" in capsys.readouterr().err


def test_a_command_whose_import_fails_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    point = EntryPoint(name="up", value="no_such_module_at_all:register", group="perfect.commands")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [point])
    assert main(["up"]) == NOT_INSTALLED
    assert "no_such_module_at_all is missing" in capsys.readouterr().err


def test_other_packages_add_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "extra_command.py").write_text(
        "def register(subparsers):\n"
        "    parser = subparsers.add_parser('extra')\n"
        "    parser.add_argument('--code', type=int)\n"
        "    parser.set_defaults(run=lambda arguments: arguments.code)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint(name="extra", value="extra_command:register", group="perfect.commands")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [point])
    assert main(["extra", "--code", "7"]) == 7


def test_parameters_are_json_where_they_are_json() -> None:
    given = ["n=3", "day=2024-01-01", 'names=["a", "b"]', "flag=true", "text=a=b", "empty="]
    assert parse_parameters(given) == {
        "n": 3,
        "day": "2024-01-01",
        "names": ["a", "b"],
        "flag": True,
        "text": "a=b",
        "empty": "",
    }
    with pytest.raises(Exit, match="NAME=VALUE"):
        parse_parameters(["alone"])


@pytest.mark.parametrize(
    ("ms", "text"),
    [(None, "–"), (12, "12 ms"), (1500, "1.5 s"), (61_000, "1 min 01 s"), (3_720_000, "1 h 02 min")],
)
def test_durations(ms: float | None, text: str) -> None:
    assert show_duration(ms) == text


def test_config_says_where_values_come_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PERFECT_PORT", "3999")
    monkeypatch.setenv("PERFECT_NATS_URL", "nats://me:hunter2@127.0.0.1:4222")
    assert main(["config", "--json"]) == OK
    text = capsys.readouterr().out
    said = json.loads(text)
    assert said["port"] == {"value": 3999, "origin": "PERFECT_PORT"}
    assert said["lease_s"]["origin"] == "default"
    assert "hunter2" not in text
    monkeypatch.setenv("PERFECT_PORT", "many")
    assert main(["config"]) == USAGE
    assert "port" in capsys.readouterr().err


@pytest.mark.parametrize("asked", ["version", "--version"])
def test_version(asked: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([asked]) == OK
    assert capsys.readouterr().out.startswith("perfect-flow ")


# -- against a small HTTP server that answers like the gateway

RUN = {
    "id": "0193a0a0-0000-7000-8000-000000000000",
    "flow_name": "etl",
    "flow_version": "abc",
    "state": "COMPLETED",
    "progress": 100.0,
    "start_time": "2024-01-01T00:00:00Z",
    "duration_ms": 1500,
    "parameters": {"n": 1},
    "tags": ["nightly"],
    "client_name": "w",
    "waiting_for": None,
    "error": None,
}
LINE = {"seq": 1, "n": 0, "at": "2024-01-01T00:00:00Z", "level": "INFO", "message": "hello"}


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: object, **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        if self.path.startswith("/api/events"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(
                b': hello\n\nid: 1.0\ndata: {"type": "task.completed", "name": "t", "duration_ms": 3}\n\n'
            )
        elif "/logs" in self.path:
            more = (
                {}
                if "cursor" in self.path
                else {"Link": '</api/engine/runs/x/logs?cursor=abc&limit=1000>; rel="next"'}
            )
            self.answer(200, [LINE], **more)
        elif "/tasks" in self.path:
            self.answer(200, [])
        elif "missing" in self.path:
            self.answer(404, {"status": 404, "title": "Not found", "detail": "there is no run missing"})
        elif self.path.startswith("/api/engine/runs?") or self.path == "/api/engine/runs":
            self.answer(200, [RUN])
        else:
            self.answer(200, RUN)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.seen.append((self.path, json.loads(body or b"null")))
        if "wrong" in self.path:
            self.answer(
                422,
                {
                    "status": 422,
                    "title": "Invalid input",
                    "detail": "parameters",
                    "errors": [{"field": "parameters.n", "message": "is not an integer"}],
                },
            )
        else:
            self.answer(202, RUN)


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.seen = []
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def url(server: http.server.ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_trigger(url: str, server, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["trigger", "my flow", "-p", "n=1", "--config", "debug", "--tag", "a", "--url", url]
    assert main(arguments) == OK
    assert capsys.readouterr().out.strip() == RUN["id"]
    assert server.seen == [
        (
            "/api/engine/trigger/my%20flow",
            {"configuration": "debug", "parameters": {"n": 1}, "tags": ["a"]},
        )
    ]


def test_trigger_with_wrong_parameters_names_the_field(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trigger", "wrong", "--url", url]) == USAGE
    assert "parameters.n: is not an integer" in capsys.readouterr().err


def test_watch_ends_with_the_run(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "watch", RUN["id"], "--url", url]) == OK
    assert "COMPLETED in 1.5 s" in capsys.readouterr().out


def test_lists_and_single_runs(url: str, server, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "ls", "--state", "completed", "--url", url]) == OK
    assert "etl" in capsys.readouterr().out
    assert server.seen == ["/api/engine/runs?state=COMPLETED&limit=20"]
    assert main(["runs", "show", RUN["id"], "--url", url]) == OK
    assert "nightly" in capsys.readouterr().out
    assert main(["runs", "show", "missing", "--url", url]) == FAILED
    assert "there is no run 'missing'" in capsys.readouterr().err


def test_logs_read_every_page(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "logs", RUN["id"], "--json", "--url", url]) == OK
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [LINE, LINE]
