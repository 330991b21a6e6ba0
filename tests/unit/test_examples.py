"""The example workflows do what they say: on their real input, in this process, with every event at hand."""

import importlib.util
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import duckdb
import pytest

from perfect_sdk import disable_run_logger
from perfect_sdk.testing import resume, run_flow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(name: str) -> ModuleType:
    """As a worker imports it: by its path."""
    import sys

    spec = importlib.util.spec_from_file_location(Path(name).stem, EXAMPLES / name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pickle and type hints look there
    spec.loader.exec_module(module)
    return module


def counts(ran) -> Counter:
    return Counter((task.name, task.state.value) for task in ran.tasks)


def test_hello() -> None:
    ran = run_flow(load("hello.py").hello, {"text": "one three"})
    assert ran.result == {"one": 3, "three": 5}
    assert counts(ran) == {("words", "COMPLETED"): 1, ("count", "COMPLETED"): 2}


def test_the_weather_is_loaded_whole(tmp_path: Path) -> None:
    weather = load("workflows/weather.py")
    ran = run_flow(weather.weather, {"folder": str(tmp_path)})
    assert (ran.result.days, ran.result.months, ran.result.wettest) == (1461, 48, "2015-12")
    assert counts(ran) == {
        ("extract", "COMPLETED"): 1,
        ("clean", "COMPLETED"): 1,
        ("aggregate", "COMPLETED"): 4,
        ("load", "COMPLETED"): 1,
        ("check", "COMPLETED"): 1,
    }
    with duckdb.connect(ran.result.file, read_only=True) as database:
        assert database.execute("SELECT count(*) FROM days").fetchone() == (1461,)
        assert database.execute(
            "SELECT count(*) FROM months m WHERE precipitation = "
            "(SELECT round(sum(precipitation), 1) FROM days d WHERE year(d.date) = m.year AND month(d.date) = m.month)"
        ).fetchone() == (48,)


def test_the_weather_of_some_years_may_be_loaded_twice(tmp_path: Path) -> None:
    weather = load("workflows/weather.py")
    for _ in range(2):
        ran = run_flow(weather.weather, {"since": 2013, "until": 2013, "folder": str(tmp_path)})
        assert (ran.result.days, ran.result.months) == (365, 12)
    failed = run_flow(weather.weather, {"since": 1990, "until": 1991, "folder": str(tmp_path)})
    assert failed.state == "FAILED"


def test_rows_that_cannot_be_right_are_left_out() -> None:
    weather = load("workflows/weather.py")
    good = {
        "date": "2012/01/01",
        "precipitation": "0.0",
        "temp_max": "12.8",
        "temp_min": "5.0",
        "wind": "4.7",
        "weather": "rain",
    }
    bad = [{"wind": "-1"}, {"temp_min": "20"}, {"weather": "frogs"}, {"date": "yesterday"}, {"wind": ""}, {}]
    rows = [good, *({**good, "date": "2012/01/02", **change} for change in bad[:-1]), good]
    with disable_run_logger():
        assert [str(day.date) for day in weather.clean.fn(rows)] == ["2012-01-01"]
        with pytest.raises(ValueError, match="no usable row"):
            weather.clean.fn([])


def test_a_weather_run_that_is_resumed_does_not_read_the_file_again(tmp_path: Path, monkeypatch) -> None:
    weather = load("workflows/weather.py")
    ran = run_flow(weather.weather, {"folder": str(tmp_path)})
    upto = next(
        n for n, event in enumerate(ran.events) if event.type == "task.completed" and event.name == "clean"
    )
    monkeypatch.setattr(weather, "parse", None)  # reading again would fail
    again = resume(weather.weather, ran.events[: upto + 1])
    assert again.state == "COMPLETED"
    assert again.result == ran.result


def test_the_best_classifier_is_chosen() -> None:
    digits = load("workflows/digits.py")
    ran = run_flow(digits.digits)
    report = ran.result
    assert (report.training_images, report.test_images) == (1347, 450)
    assert {score.model for score in report.scores} == set(digits.MODELS)
    assert report.best == max(report.scores, key=lambda score: score.f1)
    assert report.best.accuracy > 0.95
    assert counts(ran) == {
        ("sizes", "COMPLETED"): 1,
        ("train", "COMPLETED"): 3,
        ("evaluate", "COMPLETED"): 3,
        ("choose", "COMPLETED"): 1,
    }


def test_a_bad_model_does_not_go_on_unseen() -> None:
    digits = load("workflows/digits.py")
    with pytest.raises(ValueError, match=r"right in 80\.0% only"):
        digits.choose.fn([digits.Score("guessing", 0.8, 0.8, "none")], 0.9)
    with pytest.raises(ValueError, match="there is no model"):
        digits.untrained("guessing", 1)


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ready = self.server.ready
        body = {
            "status": "ready",
            "services": [{"name": "engine", "status": "ready" if ready else "starting"}],
        }
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())
        self.server.asked.append(self.path)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Health)
    server.ready, server.asked = True, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def parameters(server: HTTPServer) -> dict:
    return {"url": f"http://127.0.0.1:{server.server_port}", "seconds": 0.05, "limit": 100}


def test_the_monitor_measures_and_asks(server: HTTPServer) -> None:
    ran = run_flow(load("workflows/monitor.py").monitor, parameters(server))
    assert (ran.result.status, ran.result.reasons) == ("healthy", [])
    assert [level.name for level in ran.result.levels] == ["cpu", "memory", "disk"]
    assert all(0 <= level.used <= 100 for level in ran.result.levels)
    assert server.asked == ["/api/health"]
    assert {name for name, _ in counts(ran)} == {"cpu", "memory", "disk", "health", "judge"}


def test_the_monitor_names_what_is_not_ready(server: HTTPServer) -> None:
    server.ready = False
    ran = run_flow(load("workflows/monitor.py").monitor, parameters(server))
    assert (ran.result.status, ran.result.reasons) == ("unhealthy", ["the engine is starting"])


def test_the_monitor_names_what_is_strained_or_silent() -> None:
    monitor = load("workflows/monitor.py")
    full = monitor.Level("disk", 97.0, "1.0 GiB free for /")
    strained = monitor.judge.fn([full], [], 90)
    assert (strained.status, strained.reasons) == (
        "strained",
        ["disk is at 97 %, above 90 % (1.0 GiB free for /)"],
    )
    assert monitor.judge.fn([], None, 90).status == "unhealthy"
