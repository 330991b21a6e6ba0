"""Resume, retry, fork and limits over HTTP and by the command line, with every service but a worker that runs code."""

import asyncio
import json
from typing import Any

import httpx
import msgspec
import pytest
from fake_worker import Worker, register, until

from perfect_bus import Bus
from perfect_engine.service import EngineService
from perfect_gateway.service import GatewayService
from perfect_projector.service import ProjectorService
from perfect_registry.service import RegistryService
from perfect_schemas import ids, subjects
from perfect_sdk.cli.main import main

SCHEMA = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}, "n": {"type": "integer"}},
    "required": ["n"],
}


@pytest.fixture
async def system(start_service: Any, settings: Any) -> GatewayService:
    for service in (RegistryService, ProjectorService, EngineService):
        await start_service(service)
    return await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))


@pytest.fixture
async def worker(bus: Bus, http: httpx.AsyncClient) -> Worker:
    await register(bus, "etl")
    return await Worker(bus, "etl", slots=3, lease_s=60).connect()


async def started(http: httpx.AsyncClient, worker: Worker, **body: Any) -> Any:
    assert (await http.post("/api/engine/trigger/etl", json=body)).status_code == 202
    return await worker.start("etl")


async def eventually(http: httpx.AsyncClient, path: str, text: str) -> str:
    async with asyncio.timeout(60):
        while True:
            page = (await http.get(path)).text
            if text in page:
                return page
            await asyncio.sleep(0.02)


def own(http: httpx.AsyncClient) -> dict[str, str]:
    return {"origin": str(http.base_url).rstrip("/"), "accept": "text/html"}


async def test_resume(http: httpx.AsyncClient, worker: Worker, bus: Bus) -> None:
    claimed = await started(http, worker)
    url = f"/api/engine/runs/{claimed.run_id}"
    assert (await http.post(f"{url}/resume", json={})).status_code == 409
    await worker.suspend(claimed, "input", key="pause-0", input_schema=SCHEMA)
    await until(bus, claimed.run_id, "suspended")
    page = await eventually(http, f"/runs/{claimed.run_id}", 'name="p.n"')
    assert "paused: waits for input" in page
    shown = json.loads(await eventually(http, url, '"waits_for":"input"'))
    assert (shown["waits_for"], shown["input_schema"]) == ("input", SCHEMA)
    answer = await http.post(f"{url}/resume", json={"input": {"n": "x"}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "input.n"
    typed = await http.post(f"/runs/{claimed.run_id}/resume", data={"p.n": "many"}, headers=own(http))
    assert typed.status_code == 422
    assert "many" in typed.text
    answer = await http.post(
        f"/runs/{claimed.run_id}/resume", data={"p.n": "3", "p.ok": "true"}, headers=own(http)
    )
    assert answer.status_code == 303, answer.text
    _, resumed = await until(bus, claimed.run_id, "resumed")
    assert resumed.input == {"n": 3, "ok": True}


async def test_pause(http: httpx.AsyncClient, worker: Worker, bus: Bus) -> None:
    claimed = await started(http, worker)
    url, page = f"/api/engine/runs/{claimed.run_id}", f"/runs/{claimed.run_id}"
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def hear(msg: Any) -> None:
        told.set_result(msgspec.json.decode(msg.data))

    await bus.nc.subscribe(subjects.control_pause(worker.id), cb=hear)
    await bus.nc.flush()
    await eventually(http, page, f'action="{page}/pause"')
    answer = await http.post(f"{page}/pause", headers=own(http))
    assert answer.status_code == 303, answer.text
    assert await asyncio.wait_for(told, 60) == {"run_id": claimed.run_id, "epoch": 1}
    answer = await http.post(f"{url}/pause")  # a second one is harmless
    assert (answer.status_code, answer.json()["state"], answer.json()["pausing_by"]) == (
        202,
        "RUNNING",
        "api",
    )
    await eventually(http, url, '"pausing_by":"api"')
    shown = await eventually(http, page, "is being paused by api")
    assert f"{page}/pause" not in shown
    assert "is being paused by api" in (await http.get(url)).json()["waiting_for"]
    seq, _ = await until(bus, claimed.run_id, "pausing")
    held = msgspec.structs.replace(claimed, seq=seq)
    await worker.suspend(held, "input", key="pausing-1")
    await until(bus, claimed.run_id, "suspended")
    await eventually(http, page, "paused by api: goes on when it is resumed")
    await eventually(http, page, f'action="{page}/resume"')
    answer = await http.post(f"{url}/pause")
    assert (answer.status_code, "is PAUSED already" in answer.json()["detail"]) == (409, True)
    assert (await http.post(f"{url}/resume")).status_code == 202
    again = await worker.start("etl")
    assert again.epoch == 2
    await eventually(http, url, '"pausing_by":null')
    await worker.complete(again)
    answer = await http.post(f"{url}/pause")
    assert (answer.status_code, "has ended already (COMPLETED)" in answer.json()["detail"]) == (409, True)
    assert (await http.post(f"/api/engine/runs/{ids.uuid7()}/pause")).status_code == 404


async def test_a_time_without_a_zone_is_refused(http: httpx.AsyncClient, worker: Worker) -> None:
    answer = await http.post("/api/engine/trigger/etl", json={"scheduled_for": "2999-01-01T00:00:00"})
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["field"] == "scheduled_for"
    assert "needs a time zone" in error["message"]
    answer = await http.post("/api/engine/trigger/etl", json={"scheduled_for": "2999-01-01T02:00:00+02:00"})
    assert answer.status_code == 202
    url = f"/api/engine/runs/{answer.json()['id']}"
    assert "scheduled for 2999-01-01 00:00:00 UTC" in await eventually(http, url, "scheduled for")


async def test_resume_with_one_value_or_none(http: httpx.AsyncClient, worker: Worker, bus: Bus) -> None:
    claimed = await started(http, worker)
    await worker.suspend(claimed, "input", key="pause-0", input_schema={"type": "integer"})
    await until(bus, claimed.run_id, "suspended")
    url = f"/runs/{claimed.run_id}"
    assert (await http.post(f"{url}/resume", data={"p.input": "7"}, headers=own(http))).status_code == 303
    after, resumed = await until(bus, claimed.run_id, "resumed")
    assert resumed.input == 7
    claimed = await worker.start("etl")
    await worker.suspend(claimed, "input", key="pause-1")
    await until(bus, claimed.run_id, "suspended", after=after)
    await eventually(http, url, f'action="{url}/resume"')
    assert (await http.post(f"{url}/resume", headers=own(http))).status_code == 303


async def test_retry_and_fork(http: httpx.AsyncClient, worker: Worker, bus: Bus) -> None:
    claimed = await started(http, worker, parameters={"a": 1})
    url = f"/api/engine/runs/{claimed.run_id}"
    await worker.task(claimed, "t-0", result=1, input_digest="d")
    assert (await http.post(f"{url}/retry")).status_code == 409
    await worker.fail(claimed)
    await eventually(http, f"/runs/{claimed.run_id}", f'action="/runs/{claimed.run_id}/retry"')
    assert (await http.post(f"{url}/retry", json={"from_key": "x-0"})).status_code == 422
    answer = await http.post(f"{url}/fork", json={"parameters": {"a": 2}})
    assert answer.status_code == 202, answer.text
    forked = answer.json()
    assert forked["origin_run_id"] == claimed.run_id
    assert forked["parameters"] == {"a": 2}
    assert forked["origin"] == "fork"
    assert answer.headers["location"] == f"/api/engine/runs/{forked['id']}"
    again = await worker.start("etl")
    tasks = json.loads(await eventually(http, f"/api/engine/runs/{forked['id']}/tasks", "t-0"))
    assert (tasks[0]["state"], tasks[0]["origin_run_id"]) == ("COMPLETED", claimed.run_id)
    page = await eventually(http, f"/runs/{forked['id']}", "taken over")
    assert f"/runs/{claimed.run_id}" in page
    await worker.complete(again)
    statistics = (await http.get("/api/statistics")).json()
    assert [task["sample_count"] for task in statistics["tasks"]] == [1]  # the origin's own
    answer = await http.post(f"{url}/retry", json={"from_key": "t-0"})
    assert answer.json()["state"] == "PENDING"
    assert (await worker.start("etl")).epoch == 2
    answer = await http.post(f"/runs/{forked['id']}/fork", data={"parameters": "[1]"}, headers=own(http))
    assert answer.status_code == 422
    answer = await http.post(f"/runs/{forked['id']}/fork", data={"parameters": '{"a": 3}'}, headers=own(http))
    assert answer.status_code == 303
    assert (await http.post(f"/api/engine/runs/{ids.uuid7()}/fork")).status_code == 404


async def test_limits(http: httpx.AsyncClient, worker: Worker) -> None:
    assert (await http.get("/api/engine/limits")).json() == []
    answer = await http.put("/api/engine/limits/flow:etl", json={"slots": 1})
    assert answer.status_code == 200, answer.text
    claimed = await started(http, worker)
    waits = (await http.post("/api/engine/trigger/etl")).json()["id"]
    [limit] = (await http.get("/api/engine/limits")).json()
    assert (limit["name"], limit["slots"], limit["holders"][0]["holder"]["run_id"]) == (
        "flow:etl",
        1,
        claimed.run_id,
    )
    sentence = f"the limit of flow 'etl' is reached (1 at once), held by run {claimed.run_id}"
    assert (await http.get(f"/api/engine/runs/{waits}")).json()["waiting_for"] == sentence
    assert claimed.run_id in (await http.get(f"/runs/{waits}")).text
    assert (await http.get("/api/engine/limits/flow:etl")).json() == limit | {"waiting": limit["waiting"]}
    assert (await http.put("/api/engine/limits/x", json={"slots": -1})).status_code == 422
    assert (await http.get("/api/engine/limits/nothing")).status_code == 404
    assert (await http.delete("/api/engine/limits/nothing")).status_code == 404
    assert (await http.delete("/api/engine/limits/flow:etl")).status_code == 204
    assert (await http.put("/api/engine/limits/a%2Fb", json={"slots": 1})).status_code == 200
    assert (await http.delete("/api/engine/limits/a%2Fb")).status_code == 204


async def test_by_the_command_line(
    http: httpx.AsyncClient, worker: Worker, bus: Bus, capsys: pytest.CaptureFixture[str]
) -> None:
    async def command(*arguments: str) -> tuple[int, str]:
        code = await asyncio.to_thread(main, [*arguments, "--url", str(http.base_url)])
        return code, capsys.readouterr().out

    assert await command("limits", "ls") == (0, "no limits: `perfect limits set NAME SLOTS` sets one\n")
    assert await command("limits", "set", "db", "2") == (0, "db: 2 at once\n")
    assert "0 of 2" in (await command("limits", "ls"))[1]
    assert (await command("limits", "rm", "db"))[0] == 0
    assert (await command("trigger", "etl", "--at", "some day"))[0] == 2
    claimed = await started(http, worker)
    assert await command("runs", "pause", claimed.run_id) == (
        0,
        f"run {claimed.run_id} is being paused: it stops at its next call of a task, a child flow or a wait\n",
    )
    seq, _ = await until(bus, claimed.run_id, "pausing")
    claimed = msgspec.structs.replace(claimed, seq=seq)
    await worker.suspend(claimed, "input", key="pause-0")
    await until(bus, claimed.run_id, "suspended")
    assert await command("runs", "resume", claimed.run_id, "-p", "n=3") == (
        0,
        f"run {claimed.run_id} goes on\n",
    )
    _, resumed = await until(bus, claimed.run_id, "resumed")
    assert resumed.input == {"n": 3}
    claimed = await worker.start("etl")
    await worker.fail(claimed)
    await until(bus, claimed.run_id, "failed")
    code, text = await command("runs", "fork", claimed.run_id, "--json")
    assert (code, json.loads(text)["origin_run_id"]) == (0, claimed.run_id)
    assert (await command("runs", "retry", claimed.run_id))[0] == 0
    assert (await command("runs", "retry", claimed.run_id))[0] == 1


async def test_the_page_of_a_run_says_why_it_waits_as_it_changes(http: httpx.AsyncClient, bus: Bus) -> None:
    await register(bus, "etl")
    run_id = (await http.post("/api/engine/trigger/etl")).json()["id"]
    await until(bus, run_id, "queued")
    await eventually(http, f"/runs/{run_id}", "no worker serves flow")

    async def heard(text: str) -> None:
        async with asyncio.timeout(60):
            async for line in lines:
                if text in line:
                    return

    url = f"/events?topics=run:{run_id}&after=0.0"
    async with http.stream("GET", url) as stream:
        lines = stream.aiter_lines()
        await heard("no worker serves flow")
        await http.put("/api/engine/limits/flow:etl", json={"slots": 0})
        worker = await Worker(bus, "etl", lease_s=60).connect()
        await heard("the limit of flow")
        await http.delete("/api/engine/limits/flow:etl")
        await worker.start("etl")
        await heard("running")
