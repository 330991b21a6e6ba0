"""Reports and comparisons over HTTP and by the command line, from runs whose events are said by the test."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from said_runs import FLOW, Runs

from perfect_bus import Bus
from perfect_gateway.service import GatewayService
from perfect_projector.service import ProjectorService
from perfect_registry.service import RegistryService
from perfect_schemas import commands, events, ids, subjects
from perfect_sdk.cli import main

MARKUP = "<script>alert(1)</script>"


@pytest.fixture
async def system(start_service: Any, bus: Bus, settings: Any) -> GatewayService:
    await start_service(RegistryService)
    await start_service(ProjectorService)
    await bus.ask(
        subjects.command("registry", "register"),
        commands.RegisterFlow(name=FLOW, flow_version="1", tasks=[events.TaskDefinition(id="", name="step")]),
    )
    return await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))


async def until(client: httpx.AsyncClient, path: str, text: str) -> httpx.Response:
    async with asyncio.timeout(60):
        while True:
            answer = await client.get(path)
            if text in answer.text:
                return answer
            await asyncio.sleep(0.02)


async def told(bus: Bus, http: httpx.AsyncClient, tasks: int, **fields: Any) -> str:
    """A run of `tasks` tasks on a client that has said hello, completed and known to the read model."""
    runs, client_id = Runs(bus), ids.uuid7()
    await runs.say_client(client_id)
    run_id = await runs.schedule(**fields)
    await runs.say(run_id, events.RunQueued)
    await runs.say(run_id, events.RunStarted, client_id=client_id, client_name="w", epoch=1)
    for n in range(tasks):
        await runs.task(run_id, n)
    await runs.complete(run_id)
    await until(http, f"/api/engine/runs/{run_id}", '"COMPLETED"')
    return run_id


async def command(system: GatewayService, *arguments: str) -> int:
    return await asyncio.to_thread(main, [*arguments, "--url", f"http://127.0.0.1:{system.port}"])


async def test_a_report_says_everything_and_carries_its_own_policy(http: httpx.AsyncClient, bus: Bus) -> None:
    run_id = await told(bus, http, 3, parameters={"day": MARKUP}, tags=[MARKUP])
    await Runs(bus).log(run_id, *(f"line {n}" for n in range(1201)), MARKUP)
    path = f"/api/engine/runs/{run_id}/report"
    answer = await until(http, path, "202 lines left out")
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-disposition"].startswith('inline; filename="report-gateway-test-')
    assert answer.headers.get_list("content-security-policy")[0].startswith(
        "default-src 'none'; style-src 'sha256-"
    )
    assert len(answer.headers.get_list("content-security-policy")) == 1
    assert answer.headers["x-content-type-options"] == "nosniff"
    for said in (
        run_id,
        "step-0",
        "step-2",
        "line 0<",
        "line 199<",
        "line 1200<",
        "a-host",
        "3.99.1",
        "ran on w",
    ):
        assert said in answer.text
    assert "line 700<" in answer.text
    assert "line 300<" not in answer.text
    assert "<script" not in answer.text
    saved = await http.get(path, params={"download": "true"})
    assert saved.headers["content-disposition"].startswith("attachment; ")


async def test_a_report_of_a_run_that_has_not_started(http: httpx.AsyncClient, bus: Bus) -> None:
    run_id = await Runs(bus).schedule()
    answer = await http.get(f"/api/engine/runs/{run_id}/report")
    assert answer.status_code == 200, answer.text
    assert "has not started" in answer.text
    for wanted in (ids.uuid7(), "nothing"):
        assert (await http.get(f"/api/engine/runs/{wanted}/report")).status_code == 404


async def test_two_runs_compared(http: httpx.AsyncClient, bus: Bus) -> None:
    a = await told(bus, http, 1, parameters={"day": "mon", "deep": {"x": [1]}})
    b = await told(bus, http, 2, parameters={"day": "mon", "deep": {"x": [2]}}, configuration="debug")
    found = (await http.get(f"/api/engine/runs/{a}/diff/{b}")).json()
    assert found["parameters"] == [{"path": "deep.x[0]", "a": 1, "b": 2}]
    assert {"name": "configuration", "a": "development", "b": "debug"} in found["facts"]
    assert [(pair["task_key"], pair["a_state"], pair["b_state"]) for pair in found["tasks"]] == [
        ("step-0", "COMPLETED", "COMPLETED"), ("step-1", None, "COMPLETED"),
    ]  # fmt: skip
    assert found["delta_ms"] == pytest.approx(sum(cause["delta_ms"] for cause in found["causes"]))
    previous = (await http.get(f"/api/engine/runs/previous/diff/{b}")).json()
    assert previous["a"]["id"] == a
    page = await http.get(f"/runs/previous/diff/{b}")
    assert page.status_code == 200, page.text
    assert "deep.x[0]" in page.text
    run_page = (await http.get(f"/runs/{b}")).text
    assert f"/api/engine/runs/{b}/report" in run_page
    assert f"/runs/previous/diff/{b}" in run_page


async def test_what_cannot_be_compared(http: httpx.AsyncClient, bus: Bus) -> None:
    a = await told(bus, http, 1)
    alone = await http.get(f"/api/engine/runs/previous/diff/{a}")
    assert alone.status_code == 404
    assert "nothing to compare it with" in alone.json()["detail"]
    for path in (f"{ids.uuid7()}/diff/{a}", f"{a}/diff/{ids.uuid7()}", f"x/diff/{a}", f"{a}/diff/previous"):
        assert (await http.get(f"/api/engine/runs/{path}")).status_code == 404


async def test_the_commands(
    system: GatewayService, http: httpx.AsyncClient, bus: Bus, capsys: Any, tmp_path: Path
) -> None:
    a = await told(bus, http, 1, parameters={"day": "mon"})
    b = await told(bus, http, 2, parameters={"day": "tue"})
    assert await command(system, "runs", "diff", "previous", b) == 0
    said = capsys.readouterr().out
    assert a in said
    assert '"mon"' in said
    assert "not there" in said
    assert await command(system, "runs", "diff", a, b, "--json") == 0
    assert json.loads(capsys.readouterr().out)["b"]["id"] == b
    file = tmp_path / "report.html"
    assert await command(system, "report", b, "-o", str(file)) == 0
    assert b in file.read_text()
    assert str(file) in capsys.readouterr().out
    assert await command(system, "report", b, "-o", str(tmp_path / "no" / "folder.html")) == 1
    assert "could not be written" in capsys.readouterr().err
    assert await command(system, "runs", "diff", a, ids.uuid7()) == 1
    assert "there is no run" in capsys.readouterr().err
