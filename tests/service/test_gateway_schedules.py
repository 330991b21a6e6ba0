"""Schedules over HTTP, kept by the registry, fired by the engine, read back from the file; all of it on a real nats-server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from fake_worker import register

from perfect_bus import Bus
from perfect_engine.service import EngineService
from perfect_gateway.service import GatewayService
from perfect_projector.service import ProjectorService
from perfect_registry.service import RegistryService
from perfect_schemas import queries, subjects

FAR = {"name": "far", "kind": "cron", "cron": "30 2 1 1 *", "timezone": "Europe/Rome"}
TICKS = {"name": "ticks", "kind": "cron", "cron": "* * * * * *", "catchup": "none"}


@pytest.fixture
async def http(start_service: Any, bus: Bus, settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    for service in (RegistryService, ProjectorService, EngineService):
        await start_service(service)
    gateway = await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))
    await register(bus, "etl")
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=60) as client:
        yield client


async def until(http: httpx.AsyncClient, path: str, wanted: Any) -> Any:
    async with asyncio.timeout(60):
        while True:
            answer = (await http.get(path)).json()
            if wanted(answer):
                return answer
            await asyncio.sleep(0.02)


async def made(http: httpx.AsyncClient, spec: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post("/api/schedules", json={"flow": "etl", "spec": spec})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/api/schedules/{answer.json()['id']}"
    return answer.json()


async def test_from_making_to_removing(http: httpx.AsyncClient) -> None:
    schedule = await made(http, FAR)
    assert (schedule["words"], schedule["state"]) == ("at 02:30 on day 1 of January, Europe/Rome", "active")
    assert schedule["next_at"].endswith("-01-01T01:30:00Z")
    path = f"/api/schedules/{schedule['id']}"
    assert (await http.get(path)).json() == schedule
    assert (await http.get("/api/schedules", params={"flow": "etl", "state": "active"})).json() == [schedule]
    assert (await http.get("/api/schedules", params={"state": "paused"})).json() == []
    paused = (await http.post(f"{path}/pause")).json()
    assert (paused["state"], paused["paused_by"], paused["next_at"]) == ("paused", "api", None)
    assert (await http.post(f"{path}/resume")).json()["state"] == "active"
    assert (await http.delete(path)).status_code == 204
    assert (await http.get(path)).status_code == 404
    assert (await http.delete(path)).status_code == 404
    assert (await http.get("/api/schedules")).json() == []


async def test_what_is_wrong_is_said_in_sentences(http: httpx.AsyncClient) -> None:
    async def refused(spec: dict[str, Any], flow: str = "etl", status: int = 422) -> dict[str, Any]:
        answer = await http.post("/api/schedules", json={"flow": flow, "spec": spec})
        assert answer.status_code == status, answer.text
        problem = answer.json()
        return {one["field"]: one["message"] for one in problem.get("errors", [])} or problem["detail"]

    assert "five fields" in (await refused({"kind": "cron", "cron": "every day"}))["spec.cron"]
    assert (
        "use a name like Europe/Rome" in (await refused(FAR | {"timezone": "Europe/Roma"}))["spec.timezone"]
    )
    assert "is not known; there are name" in (await refused(FAR | {"cronn": "x"}))["spec.cronn"]
    assert "Expected int" in (await refused(FAR | {"jitter_ms": "much"}))["spec.jitter_ms"]
    wrong = await refused({"kind": "interval", "interval_ms": 5, "cron": "* * * * *"})
    assert wrong.keys() == {"spec.interval_ms", "spec.cron"}
    assert "start a worker that serves it" in await refused(FAR, flow="nothing", status=404)
    await made(http, FAR)
    assert "give this one another name" in await refused(FAR, status=409)


async def test_a_change_leaves_the_rest(http: httpx.AsyncClient) -> None:
    schedule = await made(http, FAR | {"tags": ["a"], "overlap": "skip"})
    path = f"/api/schedules/{schedule['id']}"
    changed = (await http.patch(path, json={"interval_ms": 90_000, "overlap": None})).json()
    assert changed["words"] == "every 90 seconds"
    assert changed["spec"] == {
        "name": "far", "kind": "interval", "interval_ms": 90_000, "timezone": "Europe/Rome", "tags": ["a"]
    }  # fmt: skip
    assert (await http.patch(path, json={"active": False})).json()["state"] == "paused"
    wrong = await http.patch(path, json={"name": "near"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "name")
    wrong = await http.patch(path, json={"cron": "61 * * * *"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "spec.cron")


async def test_what_comes(http: httpx.AsyncClient) -> None:
    body = {
        "spec": {"cron": "30 2 * * *", "timezone": "Europe/Rome"},
        "n": 2,
        "after": "2026-03-28T12:00:00Z",
    }
    found = (await http.post("/api/schedules/preview", json=body)).json()
    assert [one["local"] for one in found] == ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]
    assert found[0]["note"] == "the clocks are put forward from 02:00 to 03:00 at this moment"
    schedule = await made(http, FAR)
    coming = await http.get(
        f"/api/schedules/{schedule['id']}/next", params={"n": 2, "after": "2030-06-01T00:00:00Z"}
    )
    assert [one["at"][:10] for one in coming.json()] == ["2031-01-01", "2032-01-01"]
    assert (await http.get(f"/api/schedules/{schedule['id']}/next", params={"n": 1001})).status_code == 422
    assert (await http.post("/api/schedules/preview", json={"spec": {"kind": "once"}})).status_code == 422


async def test_decisions_are_read_back_and_the_run_knows_its_schedule(
    http: httpx.AsyncClient, bus: Bus
) -> None:
    schedule = await made(http, TICKS)
    path = f"/api/schedules/{schedule['id']}/decisions"
    found = await until(http, path, lambda found: len(found) >= 3)
    await http.post(f"/api/schedules/{schedule['id']}/pause")
    newest = found[0]
    assert (newest["decision"], newest["flow_name"], newest["schedule_name"]) == ("fired", "etl", "ticks")
    assert newest["late_ms"] >= 0
    run = await until(http, f"/api/engine/runs/{newest['run_id']}", lambda run: "schedule_id" in run)
    assert (run["origin"], run["schedule_id"]) == ("schedule", schedule["id"])
    assert run["scheduled_for"] == newest["due_at"]
    shown = await until(
        http,
        f"/api/schedules/{schedule['id']}",
        lambda one: one["last_decision"]["run_id"] == one["last_run_id"],
    )
    assert shown["fired"] >= 3
    first = await http.get(path, params={"limit": 2})
    second = await http.get(first.links["next"]["url"])
    ids = [one["id"] for one in [*first.json(), *second.json()]]
    assert len(set(ids)) == len(ids) >= 3
    assert (await http.get(path, params={"decision": "skipped"})).json() == []
    assert (await http.get("/api/schedules/nothing/decisions")).status_code == 404
    flow = await until(http, "/api/engine/flows/etl", lambda flow: flow["schedules"])
    assert flow["schedules"] == ["* * * * * *"]
    asked = queries.Integrity(conduct=True, sample=10)
    reply = await bus.ask(subjects.query("integrity"), asked, timeout_s=60)
    checks = {one.name: one for one in msgspec.json.decode(reply.value, type=queries.IntegrityReport).checks}
    assert [one for one in checks.values() if not one.ok] == []
    assert checks["refold_schedules"].detail.startswith("1 schedules compared")


async def test_a_backfill_is_shown_before_it_is_done(http: httpx.AsyncClient) -> None:
    schedule = await made(http, {"name": "daily", "kind": "cron", "cron": "0 3 * * *", "active": False})
    path = f"/api/schedules/{schedule['id']}/backfill"
    body = {"since": "2026-05-01T00:00:00", "until": "2026-05-04T00:00:00"}
    shown = (await http.post(path, json=body | {"dry_run": True})).json()
    assert [one["at_instant"][:10] for one in shown["instants"]] == ["2026-05-01", "2026-05-02", "2026-05-03"]
    done = (await http.post(path, json=body)).json()
    assert (done["started"], done["instants"]) == (3, shown["instants"])
    again = (await http.post(path, json=body | {"dry_run": True})).json()
    assert again["started"] == 0
    found = await until(http, f"/api/schedules/{schedule['id']}/decisions", lambda found: len(found) == 3)
    assert {(one["backfill"], one["by"]) for one in found} == {(True, "api")}
    wide = await http.post(path, json={"since": "2000-01-01T00:00:00Z", "until": "2026-05-04T00:00:00Z"})
    assert (wide.status_code, "narrow the range" in wide.json()["detail"]) == (422, True)


async def test_the_document_shows_each_route_with_an_example(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/schema")).json()["paths"]
    found = {path: operations for path, operations in paths.items() if path.startswith("/api/schedules")}
    assert len(found) == 8, sorted(found)
    for operations in found.values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if status == "200":
                    assert "example" in answer["content"]["application/json"]
            if "requestBody" in operation:
                assert "example" in operation["requestBody"]["content"]["application/json"]
