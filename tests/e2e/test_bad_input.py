"""What is wrong gets a clear sentence, and costs nothing else."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from commands import finish, perfect, start, until_says
from running import FLOWS, Running, free_port, running
from site_client import Site

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_runtime.verify import verify

MEGABYTE = 1024 * 1024


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    """Whatever happens in the test: it serves runs afterwards, and the read model agrees with the streams."""
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "awkward.py")
        yield system
        async with Site.of(system.system.url) as site:
            run = await site.finished((await site.trigger("Echo", text="fine"))["id"])
            assert (run["state"], run["result"]) == ("COMPLETED", 4)
        report = await verify(system.bus)
        assert report.ok, "\n".join(report.differences[:20])


@pytest.fixture
async def site(system: Running) -> AsyncIterator[Site]:
    async with Site.of(system.system.url) as site:
        yield site


async def test_requests(site: Site) -> None:
    missing = await site.trigger("No such flow", status=404)
    assert "there is no flow 'No such flow'" in missing["detail"]

    wrong = await site.trigger("Echo", status=422, text=3, times="often")
    fields = {one["field"]: one["message"] for one in wrong["errors"]}
    assert fields.keys() == {"parameters.text", "parameters.times"}
    assert "not of type 'string'" in fields["parameters.text"]
    lacking = await site.trigger("Echo", status=422)
    assert lacking["errors"][0]["field"] == "parameters.text"
    unknown = await site.trigger("Echo", status=422, text="a", colour="red")
    assert "colour" in unknown["detail"]
    body = await site.post("/api/engine/trigger/Echo", {"configuration": "fast"}, status=422)
    assert body["errors"][0]["field"] == "configuration"
    nonsense = await site.http.post("/api/engine/trigger/Echo", content=b"{")
    assert (nonsense.status_code, nonsense.headers["content-type"]) == (400, "application/problem+json")
    assert "not JSON" in nonsense.json()["detail"]

    large = await site.http.post(
        "/api/engine/trigger/Echo", json={"parameters": {"text": "x" * 9 * MEGABYTE}}
    )
    assert large.status_code == 413
    assert "pass large values by reference" in large.json()["detail"]
    for path in ("runs/nonsense", f"runs/{'0' * 8}-0000-7000-8000-{'0' * 12}"):
        assert "there is no run" in (await site.get(f"/api/engine/{path}", status=404))["detail"]
    assert (await site.get("/api/engine/runs", status=422, limit=0))["errors"][0]["field"] == "limit"
    assert (await site.get("/api/engine/runs", status=422, colour="red"))["errors"][0]["field"] == "colour"
    assert (await site.get("/api/engine/runs", status=422, cursor="x"))["status"] == 422
    assert await site.get("/api/engine/runs") == []


async def warnings(site: Site, run: dict) -> list[str]:
    return [line["message"] for line in await site.get(f"/api/engine/runs/{run['id']}/logs", level="WARNING")]


async def test_what_flows_return_and_how_they_end(site: Site) -> None:
    names = ("Unstorable", "Unstorable result", "Raises", "Leaves")
    triggered = [await site.trigger(name) for name in names]
    task, result, raises, leaves = [await site.finished(run["id"]) for run in triggered]

    assert (task["state"], task["result"]) == ("COMPLETED", "object")
    [warning] = await warnings(site, task)
    assert "the result of 'handle' cannot be stored as json" in warning
    assert (result["state"], result["result"]) == ("COMPLETED", None)
    [warning] = await warnings(site, result)
    assert "the result of 'Unstorable result' cannot be stored as json" in warning

    assert raises["state"] == "FAILED"
    assert (raises["error"]["kind"], raises["error"]["message"]) == ("builtins:LookupError", "out of flour")
    assert "raise LookupError(text)" in raises["error"]["traceback"]
    assert leaves["state"] == "FAILED"
    assert leaves["error"]["kind"] == "builtins:SystemExit"


async def test_processes_that_vanish(site: Site, tmp_path: Path) -> None:
    once = await site.trigger("Vanishes", path=str(tmp_path / "once"))
    survived = await site.finished(once["id"])
    assert (survived["state"], survived["result"], survived["attempt"]) == ("COMPLETED", 2, 2)
    ever = await site.trigger("Vanishes", path=str(tmp_path / "ever"), times=1000)
    crashed = await site.finished(ever["id"])
    assert crashed["state"] == "CRASHED"
    assert "without a newly completed task" in crashed["error"]["message"]
    assert len((tmp_path / "ever").read_text().split()) < 20


async def test_a_large_result_is_read_back_when_the_run_is_resumed(site: Site, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    run = await site.finished((await site.trigger("Large", path=str(trace)))["id"])
    assert (run["state"], run["result"], run["attempt"]) == ("COMPLETED", 9 * MEGABYTE, 2)
    assert trace.read_text().split() == ["large", "measure", "measure"]


async def test_files_that_cannot_be_served(system: Running, tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken.py", tmp_path / "empty.py"
    broken.write_text("def bake(:\n")
    empty.write_text("oven = 1\n")
    environment = {"PERFECT_DATA_DIR": str(system.system.settings.data_dir)}
    for file, says in (
        (broken, "SyntaxError"),
        (empty, "defines no flow"),
        (tmp_path / "no.py", "there is no file"),
    ):
        ended = await perfect("worker", file, cwd=tmp_path, **environment)
        assert ended.code == 1
        assert says in ended.output
        assert file.name in ended.output
        assert "Traceback" not in ended.output

    ended = await perfect("trigger", "Echo", "-p", "text=3", cwd=tmp_path, **environment)
    assert (ended.code, "parameters.text" in ended.output) == (2, True)
    ended = await perfect("trigger", "Nothing", cwd=tmp_path, **environment)
    assert (ended.code, "there is no flow 'Nothing'" in ended.output) == (1, True)
    ended = await perfect("trigger", "Raises", "--watch", "-p", "text=no sugar", cwd=tmp_path, **environment)
    assert (ended.code, "LookupError: no sugar" in ended.output) == (1, True)
    ended = await perfect("up", "--port", str(free_port()), cwd=tmp_path, **environment)
    assert ended.code == 1
    assert f"in use by another Perfect system (pid {os.getpid()})" in ended.output
    assert await system.system.health("engine") is not None


async def test_what_up_cannot_start_with(tmp_path: Path) -> None:
    old = tmp_path / "old-nats-server"
    old.write_text("#!/bin/sh\necho 'nats-server: v2.9.10'\n")
    old.chmod(0o755)
    port = ("--port", str(free_port()))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        used = str(taken.getsockname()[1])
        cases = [
            (("up", "--port", used), {}, 1, f"port {used} of 127.0.0.1 is in use"),
            (("demo", "--port", used), {}, 1, f"port {used} of 127.0.0.1 is in use"),
            (("up", *port, "--host", "0.0.0.0"), {}, 2, "not a loopback address"),
            (
                ("up", *port),
                {"PERFECT_NATS_SERVER": "/nowhere/nats-server"},
                1,
                "PERFECT_NATS_SERVER names /nowhere",
            ),
            (
                ("up", *port),
                {"PERFECT_NATS_SERVER": "./old-nats-server"},
                1,
                "is nats-server 2.9.10; Perfect needs 2.14",
            ),
            (("up", "--port", "many"), {}, 2, "invalid int value"),
            (
                ("up", *port),
                {"PERFECT_LEASE_S": "soon"},
                2,
                "the setting lease_s (from PERFECT_LEASE_S) is 'soon'",
            ),
        ]
        ended = await asyncio.gather(
            *(
                perfect(*command, "--data-dir", tmp_path / str(n), cwd=tmp_path, **environment)
                for n, (command, environment, _, _) in enumerate(cases)
            )
        )
    for (command, _, code, says), (ended_code, output) in zip(cases, ended, strict=True):
        assert (command, ended_code) == (command, code), output
        assert says in output
        assert "Traceback" not in output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("leese_s = 3", "there is no setting 'leese_s'; did you mean 'lease_s'?"),
        ("oven = 3", "there is no setting 'oven'; `perfect config` lists them all"),
        ('port = "many"', "the setting port (from perfect.toml) is 'many'"),
        ("port = ", "perfect.toml cannot be read as TOML"),
    ],
)
async def test_a_wrong_settings_file(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "perfect.toml").write_text(text)
    for command in (("up",), ("trigger", "Echo"), ("config",)):
        ended = await perfect(*command, cwd=tmp_path)
        assert (command, ended.code) == (command, 2)
        assert says in ended.output
        assert "Traceback" not in ended.output


async def test_nothing_runs(tmp_path: Path) -> None:
    for command in (("trigger", "Echo"), ("runs", "ls"), ("worker", FLOWS / "awkward.py")):
        ended = await perfect(*command, cwd=tmp_path)
        assert ended.code == 4
        assert ended.output.startswith("perfect: no Perfect system found: start one with `perfect up`")

    file = tmp_path / ".perfect" / "connection.json"
    file.parent.mkdir()
    for text in ('{"url": "nats://127', "{}", ""):
        file.write_text(text)
        ended = await perfect("trigger", "Echo", cwd=tmp_path)
        assert ended.code == 2
        assert "connection.json is damaged" in ended.output
        assert "remove it" in ended.output

    port = free_port()
    gone = {
        "url": f"nats://127.0.0.1:{port}",
        "user": "a",
        "password": "hush",
        "gateway": f"http://127.0.0.1:{port}",
    }
    file.write_text(json.dumps(gone))
    ended = await perfect("trigger", "Echo", cwd=tmp_path)
    assert ended.code == 4
    assert f"nothing answers at http://127.0.0.1:{port}" in ended.output
    worker = await start("worker", FLOWS / "awkward.py", cwd=tmp_path)
    said = await until_says(worker, "trying again until it does")
    assert f"NATS at nats://127.0.0.1:{port} does not answer" in said
    worker.terminate()
    ended = await finish(worker, 5)
    assert ended.code == 0
    assert "hush" not in said + ended.output
