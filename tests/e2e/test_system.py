"""A whole system, driven as a program of somebody else's would: over HTTP and server-sent events only."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from eventually import eventually
from running import FLOWS, Running, running
from site_client import FINAL, Message, Site

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_runtime.verify import verify

COUNT = 40


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings, groups=GROUPS) as system:
        await system.worker(FLOWS / "busy.py")
        yield system


@pytest.fixture
async def site(system: Running) -> AsyncIterator[Site]:
    """At the end the read model agrees with the streams, by its own account and by a fold of all events."""
    async with Site.of(system.system.url) as site:
        yield site
        report = await verify(system.bus)
        assert report.ok, "\n".join(report.differences[:20])
        integrity = await site.get("/api/integrity")
        assert [check for check in integrity["checks"] if not check["ok"]] == []
        assert len(integrity["checks"]) > 3


async def test_from_registration_to_statistics(site: Site) -> None:
    health = await site.get("/api/health")
    services = {service["name"]: service["status"] for service in health["services"]}
    assert {"registry", "engine", "projector", "gateway"} <= set(services)
    assert set(services.values()) == {"ready"}
    [client] = await eventually(lambda: site.get("/api/clients"))
    assert (client["name"], client["state"], len(client["flows"])) == ("w1", "CONNECTED", 3)
    flows = {flow["name"]: flow for flow in await site.get("/api/engine/flows")}
    assert set(flows) == {"Squares", "Talkative", "Instant"}
    assert [(task["name"], task["weight"], task["estimated_time"]) for task in flows["Squares"]["tasks"]] == [
        ("square", 2.0, 10),
        ("total", 1.0, None),
    ]
    assert flows["Talkative"]["parameters"]["required"] == ["lines"]

    triggered = await site.post(
        "/api/engine/trigger/Squares",
        {"configuration": "debug", "parameters": {"count": COUNT}, "tags": ["first"]},
    )
    run = await site.finished(triggered["id"])
    assert (run["state"], run["progress"], run["result"]) == (
        "COMPLETED",
        100,
        sum(n * n for n in range(COUNT)),
    )
    assert (run["configuration"], run["tags"], run["client_name"]) == ("debug", ["first"], "w1")
    assert (run["tasks_done"], run["tasks_total"]) == (COUNT + 1, COUNT + 1)
    tasks = await site.all(f"/api/engine/runs/{run['id']}/tasks")
    assert Counter((task["name"], task["state"]) for task in tasks) == {
        ("square", "COMPLETED"): COUNT,
        ("total", "COMPLETED"): 1,
    }
    assert len({task["task_key"] for task in tasks}) == COUNT + 1
    [line] = await site.get(f"/api/engine/runs/{run['id']}/logs")
    assert (line["message"], line["level"]) == (f"squaring {COUNT} numbers", "INFO")

    statistics = await site.get("/api/statistics", flow="Squares")
    assert {row["task_name"]: row["sample_count"] for row in statistics["tasks"]} == {
        "square": COUNT,
        "total": 1,
    }
    [of_flow] = statistics["flows"]
    assert of_flow["avg_duration_ms"] == run["duration_ms"]
    [square] = [row for row in statistics["tasks"] if row["task_name"] == "square"]
    durations = [task["duration_ms"] for task in tasks if task["name"] == "square"]
    mean = sum(durations) / COUNT
    assert square["avg_duration_ms"] == pytest.approx(mean)
    assert square["m2"] == pytest.approx(sum((one - mean) ** 2 for one in durations))
    found = await site.get("/api/engine/runs", tag="first", configuration="debug", flow="Squares")
    assert [one["id"] for one in found] == [run["id"]]


async def test_a_flow_without_code_waits_and_is_hidden(site: Site) -> None:
    body = {"name": "Paper", "description": "Nobody serves it", "tasks": [{"name": "fold", "weight": 3}]}
    registered = await site.post("/api/engine/register", body, status=201)
    assert registered == await site.post("/api/flows", body, status=201) | {"new": True}
    run = await site.trigger("Paper")
    async with asyncio.timeout(10):
        while not (waiting := (await site.run(run["id"]))["waiting_for"]):
            await asyncio.sleep(0.02)
    assert "worker" in waiting
    assert "serves flow 'Paper'" in waiting
    refused = await site.http.delete(f"/api/engine/flows/{registered['id']}")
    assert refused.status_code == 409
    await site.post(f"/api/engine/runs/{run['id']}/cancel")
    assert (await site.finished(run["id"]))["state"] == "CANCELLED"
    again = await site.post(f"/api/engine/runs/{run['id']}/cancel", status=409)
    assert run["id"] in again["detail"]
    removed = await site.http.delete(f"/api/engine/flows/{registered['id']}")
    assert removed.status_code == 204
    async with asyncio.timeout(10):
        while "Paper" in [flow["name"] for flow in await site.get("/api/engine/flows")]:
            await asyncio.sleep(0.02)
    assert (await site.run(run["id"]))["state"] == "CANCELLED"


async def test_following_resumes_where_the_connection_broke(site: Site) -> None:
    """A listener that loses its connection again and again hears what one hears that never does."""
    heard: list[Message] = []
    steady: list[Message] = []
    async with asyncio.timeout(40), site.events() as start:
        first = await anext(start)
        assert first.name == "hello"
        position = first.data
        runs = {(await site.trigger("Squares", count=COUNT))["id"] for _ in range(3)}
        left = set(runs)
        async for message in start:
            if message.name != "message" or message.data.get("run_id") not in runs:
                continue
            steady.append(message)
            if message.data["type"] in {f"run.{state.lower()}" for state in FINAL}:
                left.discard(message.data["run_id"])
            if not left:
                break
        wanted = {message.data["id"] for message in steady}
        connections = 0
        while wanted:
            connections += 1
            async with site.events(last_event_id=position) as messages:
                taken = 0
                async for message in messages:
                    assert message.name != "resync"
                    if message.name != "message" or message.data.get("run_id") not in runs:
                        continue
                    heard.append(message)
                    wanted.discard(message.data["id"])
                    position = message.id
                    taken += 1
                    if taken == 29 or not wanted:
                        break
    assert connections > 3
    assert max(Counter(message.data["id"] for message in heard).values()) == 1
    for run_id in runs:
        await site.settled(run_id)
        stored = [row["event"]["id"] for row in await site.all(f"/api/engine/runs/{run_id}/events")]
        told = [
            message.data["id"]
            for message in heard
            if message.data["run_id"] == run_id and not message.data["type"].startswith("log.")
        ]
        assert told == stored[: len(told)]


async def test_ten_thousand_log_lines_in_order(site: Site) -> None:
    lines = 10_000
    run = await site.finished((await site.trigger("Talkative", lines=lines))["id"])
    assert run["state"] == "COMPLETED"
    expected = [f"line {n}" for n in range(lines)]
    found: list[str] = []
    async with asyncio.timeout(20):
        while len(found) < lines:
            found = [line["message"] for line in await site.all(f"/api/engine/runs/{run['id']}/logs")]
    assert found == expected
    tail = await site.get(f"/api/engine/runs/{run['id']}/logs", tail="true", limit=3)
    assert [line["message"] for line in tail] == expected[-3:]
    await site.post(
        f"/api/engine/runs/{run['id']}/logs", {"logs": ["afterwards", {"message": "!", "level": "error"}]}
    )
    async with asyncio.timeout(10):
        while not (late := await site.get(f"/api/engine/runs/{run['id']}/logs", level="ERROR")):
            await asyncio.sleep(0.02)
    assert [line["message"] for line in late] == ["!"]


async def test_a_page_at_a_time_and_once_a_key(site: Site) -> None:
    count = 120
    triggered = await asyncio.gather(*(site.trigger("Instant", n=n) for n in range(count)))
    wanted = {run["id"] for run in triggered}
    async with asyncio.timeout(40):
        while len(await site.all("/api/engine/runs", flow="Instant", state="COMPLETED")) < count:
            await asyncio.sleep(0.1)
    pages = await site.pages("/api/engine/runs", flow="Instant", limit=50)
    assert [len(page) for page in pages] == [50, 50, 20]
    listed = [run for page in pages for run in page]
    assert {run["id"] for run in listed} == wanted
    assert {run["result"] for run in listed} == set(range(count))
    created = [run["created_at"] for run in listed]
    assert created == sorted(created, reverse=True)
    assert len(await site.get("/api/engine/runs")) == 50
    assert len(await site.all("/api/engine/runs", flow="Instant", sort="duration")) == count

    path, key = "/api/engine/trigger/Instant", {"idempotency_key": "monday"}
    first = await site.post(path, {**key, "parameters": {"n": 7}})
    second = await site.post(path, {**key, "parameters": {"n": 7}}, status=200)
    assert second["id"] == first["id"]
    other = await site.post(path, {**key, "parameters": {"n": 8}}, status=409)
    assert "monday" in other["detail"]
    assert first["id"] in other["detail"]
    await site.finished(first["id"])
