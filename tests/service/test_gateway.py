"""The gateway over HTTP, with the real projector and registry on a real nats-server."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from said_runs import FLOW, FLOW_ID, Runs

from perfect_bus import Bus
from perfect_gateway.service import GatewayService
from perfect_projector.service import ProjectorService
from perfect_registry.service import RegistryService
from perfect_schemas import commands, events, ids, subjects
from perfect_schemas.commands import Reply
from perfect_schemas.errors import Conflicting, FieldError, InvalidInput, NotFound, TooLarge


@pytest.fixture
def runs(bus: Bus) -> Runs:
    return Runs(bus)


@pytest.fixture
async def system(start_service: Any, bus: Bus, settings: Any) -> GatewayService:
    """Registry, projector, gateway; the engine's commands are answered by the tests."""
    await start_service(RegistryService)
    await start_service(ProjectorService)
    await bus.ask(
        subjects.command("registry", "register"),
        commands.RegisterFlow(
            name=FLOW,
            flow_version="1",
            tasks=[events.TaskDefinition(id="", name="step", weight=2)],
            parameters={"type": "object", "properties": {"day": {"type": "string"}}},
        ),
    )
    return await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))


async def until(client: httpx.AsyncClient, path: str, wanted: Any) -> Any:
    async with asyncio.timeout(60):
        while True:
            answer = (await client.get(path)).json()
            if wanted(answer):
                return answer
            await asyncio.sleep(0.02)


async def test_flows_and_runs(http: httpx.AsyncClient, runs: Runs) -> None:
    flows = await until(http, "/api/engine/flows", len)
    assert flows[0]["name"] == FLOW
    assert flows[0]["tasks"][0] | {"id": ""} == {
        "id": "", "name": "step", "weight": 2.0, "estimated_time": None, "description": "",
    }  # fmt: skip
    run_id = await runs.start(parameters={"day": "mon"})
    await runs.task(run_id, 0)
    answer = await http.get(f"/api/engine/runs/{run_id}")
    assert answer.status_code == 200
    await runs.complete(run_id)
    run = await until(http, f"/api/engine/runs/{run_id}", lambda run: run["state"] == "COMPLETED")
    assert run["progress"] == 100
    assert run["parameters"] == {"day": "mon"}
    page = await http.get(f"/runs/{run_id}")
    assert page.status_code == 200, page.text
    assert run_id in page.text
    for path in ("/", "/runs", f"/flows/{FLOW_ID}", "/statistics"):
        page = await http.get(path)
        assert page.status_code == 200, page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]


@pytest.fixture
async def engine(bus: Bus, start_service: Any, http: httpx.AsyncClient) -> None:
    from perfect_engine.service import EngineService

    await start_service(EngineService)
    await until(http, "/api/engine/flows", len)


async def test_trigger(http: httpx.AsyncClient, engine: None) -> None:
    for name in (FLOW_ID, FLOW.replace(" ", "%20")):
        answer = await http.post(
            f"/api/engine/trigger/{name}", json={"parameters": {"day": "tue"}, "tags": ["a"]}
        )
        assert answer.status_code == 202, answer.text
        run = answer.json()
        assert run["flow_name"] == FLOW
        assert answer.headers["location"] == f"/api/engine/runs/{run['id']}"
        shown = await http.get(f"/api/engine/runs/{run['id']}")  # before the read model knows it
        assert shown.status_code == 200
        assert shown.json()["tags"] == ["a"]
        assert (await http.get(f"/runs/{run['id']}")).status_code == 200
        for part in ("tasks", "logs", "events"):
            assert (await http.get(f"/api/engine/runs/{run['id']}/{part}")).status_code == 200
    assert (await http.post(f"/api/engine/trigger/{FLOW_ID}")).status_code == 202  # the body is optional


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (FLOW_ID, b'{"parameters": {"day": "tue"}, "idempotency_key": "alike"}'),
        (FLOW_ID, b'{"parameters": {"day": 1}}'),
        (FLOW_ID, b'{"unknown": 1}'),
        (FLOW_ID, b"{"),
        ("nobody", b"{}"),
        (f"{FLOW_ID}/no-deployment", b"{}"),
        (f"{FLOW_ID}/", b'{"parameters": {"day": "tue"}, "idempotency_key": "alike"}'),
        ("", b"{}"),
        ("a/b/c", b"{}"),
    ],
)
async def test_a_trigger_is_answered_alike_on_its_short_way_and_on_that_of_every_request(
    http: httpx.AsyncClient, engine: None, path: str, body: bytes
) -> None:
    async def in_parts() -> AsyncIterator[bytes]:  # its length is not announced: it goes the long way
        yield body

    url = f"/api/engine/trigger/{path}"
    first = await http.post(url, content=body)  # makes the run; the others find it by its key
    short, long = await http.post(url, content=body), await http.post(url, content=in_parts())
    assert first.status_code // 100 == short.status_code // 100
    assert (short.status_code, short.content) == (long.status_code, long.content)
    own = {"date": "", "connection": ""}  # the server's, who closes where it has not read all
    assert {**short.headers, **own} == {**long.headers, **own}


async def test_idempotency_key(http: httpx.AsyncClient, engine: None) -> None:
    body = {"idempotency_key": "k", "parameters": {"day": "mon"}}
    first = await http.post(f"/api/engine/trigger/{FLOW_ID}", json=body)
    again = await http.post(f"/api/engine/trigger/{FLOW_ID}", json=body)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["id"] == first.json()["id"]
    other = await http.post(f"/api/engine/trigger/{FLOW_ID}", json=body | {"parameters": {"day": "tue"}})
    assert other.status_code == 409
    assert other.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "field"),
    [
        ("POST", "/api/engine/trigger/{flow}", {"configuration": "fast"}, 422, "configuration"),
        ("POST", "/api/engine/trigger/{flow}", {"paramters": {}}, 422, "paramters"),
        ("POST", "/api/engine/trigger/{flow}", {"parameters": {"day": 1}}, 422, "parameters.day"),
        ("POST", "/api/engine/trigger/{flow}", {"tags": [1]}, 422, "tags[0]"),
        ("POST", "/api/engine/trigger/{flow}", b"{", 400, None),
        ("POST", "/api/engine/trigger/nobody", {}, 404, None),
        ("POST", "/api/engine/register", {"tags": []}, 422, "name"),
        ("POST", "/api/engine/runs/{run}/logs", {"log": "x"}, 404, None),
        ("POST", "/api/engine/runs/{run}/logs", {}, 422, "log"),
        ("POST", "/api/engine/runs/{run}/logs", {"log": "x", "level": "LOUD"}, 422, "level"),
        ("POST", "/api/engine/runs/{run}/cancel", {}, 404, None),
        ("POST", "/api/engine/runs/nonsense/cancel", {}, 404, None),
        ("GET", "/api/engine/runs?limit=0", None, 422, "limit"),
        ("GET", "/api/engine/runs?limit=1001", None, 422, "limit"),
        ("GET", "/api/engine/runs?state=WALKING", None, 422, "state[0]"),
        ("GET", "/api/engine/runs?since=yesterday", None, 422, "since"),
        ("GET", "/api/engine/runs?sort=colour", None, 422, "sort"),
        ("GET", "/api/engine/runs?cursor=!!", None, 422, "cursor"),
        ("GET", "/api/engine/runs?colour=red", None, 422, "colour"),
        ("GET", "/api/engine/runs/{run}", None, 404, None),
        ("GET", "/api/engine/runs/{run}/tasks", None, 404, None),
        ("GET", "/api/engine/runs/{run}/logs", None, 404, None),
        ("GET", "/api/engine/runs/{run}/events", None, 404, None),
        ("GET", "/api/engine/runs/nonsense", None, 404, None),
        ("GET", "/api/engine/flows/nonsense", None, 404, None),
        ("DELETE", "/api/engine/flows/nonsense", None, 404, None),
        ("GET", "/api/nothing", None, 404, None),
        ("GET", "/static/../pyproject.toml", None, 404, None),
        ("GET", "/static/%2e%2e/perfect_ui/forms.py", None, 404, None),
        ("GET", "/static/dist/manifest.json", None, 404, None),
        ("PUT", "/api/engine/runs", None, 405, None),
        ("GET", "/api/events?after=here", None, 422, "after"),
        ("GET", "/api/events?run_id=nonsense", None, 404, None),
        ("GET", "/events?topics=everything", None, 422, "topics"),
        ("GET", "/events", None, 422, "topics"),
    ],
)
async def test_problems(
    http: httpx.AsyncClient, engine: None, method: str, path: str, body: Any, status: int, field: str | None
) -> None:
    path = path.format(flow=FLOW_ID, run=ids.uuid7())
    content = {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
    answer = await http.request(method, path, **content)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])


async def test_too_large(http: httpx.AsyncClient, engine: None) -> None:
    answer = await http.post(f"/api/engine/trigger/{FLOW_ID}", json={"parameters": {"day": "x" * 9_000_000}})
    assert answer.status_code == 413
    assert "by reference" in answer.json()["detail"]


async def test_a_browser_gets_a_page(http: httpx.AsyncClient) -> None:
    for path in (f"/runs/{ids.uuid7()}", "/nowhere", "/flows/nonsense"):
        answer = await http.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_pages_are_linked(http: httpx.AsyncClient, runs: Runs) -> None:
    made = [await runs.schedule() for _ in range(5)]
    await until(http, "/api/engine/runs", lambda shown: len(shown) == 5)
    seen: list[str] = []
    path: str | None = "/api/engine/runs?limit=2&state=SCHEDULED,PENDING&state=RUNNING"
    while path:
        answer = await http.get(path)
        seen += [run["id"] for run in answer.json()]
        path = answer.links["next"]["url"] if "next" in answer.links else None
    assert seen == made[::-1]


async def test_logs(http: httpx.AsyncClient, runs: Runs) -> None:
    run_id = await runs.schedule()
    for path in (f"/api/engine/runs/{run_id}/logs", f"/api/flows/{run_id}/logs"):
        assert (await http.post(path, json={"log": "one"})).status_code == 202
        lines = ["two", {"message": "three", "level": "error"}, *(f"line {n}" for n in range(1500))]
        answer = await http.post(path, json={"logs": lines})
        assert answer.json() == {"run_id": run_id, "lines": 1502}
    seen: list[str] = []
    path = f"/api/engine/runs/{run_id}/logs?limit=1000"
    await until(http, f"{path}&tail=true&limit=1", lambda shown: bool(shown) and shown[-1]["seq"] >= 6)
    while path:
        answer = await http.get(path)
        seen += [line["message"] for line in answer.json()]
        path = answer.links["next"]["url"] if "next" in answer.links else ""
    one = ["one", "two", "three", *(f"line {n}" for n in range(1500))]
    assert seen == one * 2
    errors = await http.get(f"/api/engine/runs/{run_id}/logs?level=ERROR")
    assert [line["message"] for line in errors.json()] == ["three", "three"]


async def test_register_and_remove(http: httpx.AsyncClient, engine: None) -> None:
    body = {"name": "by hand", "tasks": [{"name": "a", "weight": 3, "estimated_time": 100}, {"name": "b"}]}
    answer = await http.post("/api/flows", json=body)
    assert answer.status_code == 201, answer.text
    flow_id = answer.json()["id"]
    assert flow_id == ids.flow_id("by hand")
    path = f"/api/engine/flows/{flow_id}"
    flow = await until(http, path, lambda shown: "tasks" in shown)
    assert [(task["name"], task["weight"], task["estimated_time"]) for task in flow["tasks"]] == [
        ("a", 3, 100),
        ("b", 1, None),
    ]
    triggered = (await http.post("/api/engine/trigger/by hand")).json()
    assert (await http.delete(path)).status_code == 409
    assert (await http.post(f"/api/engine/runs/{triggered['id']}/cancel")).status_code == 202
    await until(http, f"/api/engine/runs/{triggered['id']}", lambda run: run["state"] == "CANCELLED")
    assert (await http.post(f"/api/engine/runs/{triggered['id']}/cancel")).status_code == 409
    assert (await http.delete(path)).status_code == 204
    shown = await until(http, "/api/engine/flows", lambda flows: all(flow["id"] != flow_id for flow in flows))
    assert FLOW in [flow["name"] for flow in shown]


async def test_health(http: httpx.AsyncClient, start_service: Any) -> None:
    answer = await http.get("/api/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "missing"
    assert {entry["name"]: entry["status"] for entry in answer.json()["services"]} == {
        "registry": "ready", "engine": "missing", "launcher": "missing", "projector": "ready", "gateway": "ready",
    }  # fmt: skip
    from perfect_engine.service import EngineService
    from perfect_launcher.service import LauncherService

    await start_service(EngineService)
    await start_service(LauncherService)
    answer = await http.get("/api/health")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    metrics = (await http.get("/metrics")).text
    assert 'perfect_service_ready{service="engine"} 1' in metrics
    assert 'perfect_http_responses_total{method="GET",status="503"} 1' in metrics


async def test_openapi(http: httpx.AsyncClient) -> None:
    document = (await http.get("/schema")).json()
    assert document == (await http.get("/schema/openapi.json")).json()
    trigger = document["paths"]["/api/engine/trigger/{flow_id}"]["post"]
    assert trigger["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/TriggerBody"
    }
    assert {"200", "202", "404", "409", "422"} <= set(trigger["responses"])
    listed = document["paths"]["/api/engine/runs"]["get"]["parameters"]
    assert {"flow", "state", "limit", "cursor"} <= {parameter["name"] for parameter in listed}


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"host": "evil.example"}, 400),
        ("GET", {"host": "127.0.0.1.evil.example:3000"}, 400),
        ("GET", {"host": "localhost:9"}, 200),
        ("GET", {"host": "[::1]:3000"}, 200),
        ("GET", {"origin": "https://evil.example"}, 200),
        ("POST", {"origin": "https://evil.example"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"sec-fetch-site": "cross-site"}, 403),
        ("POST", {"sec-fetch-site": "same-site", "origin": "http://127.0.0.1:1"}, 403),
        ("POST", {"sec-fetch-site": "same-origin"}, 404),
        ("POST", {}, 404),
    ],
)
async def test_who_may_ask(
    http: httpx.AsyncClient, method: str, headers: dict[str, str], status: int
) -> None:
    path = "/api/statistics" if method == "GET" else f"/api/engine/runs/{ids.uuid7()}/logs"
    answer = await http.request(
        method, path, headers=headers, json={"log": "x"} if method == "POST" else None
    )
    assert answer.status_code == status, answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_forms(http: httpx.AsyncClient, engine: None) -> None:
    own = {"origin": str(http.base_url)}
    answer = await http.post(
        f"/flows/{FLOW_ID}/runs", data={"configuration": "debug", "tags": "x, y"}, headers=own
    )
    assert answer.status_code == 303
    run_id = answer.headers["location"].removeprefix("/runs/")
    run = (await http.get(f"/api/engine/runs/{run_id}")).json()
    assert (run["configuration"], run["tags"]) == ("debug", ["x", "y"])
    answer = await http.post(
        f"/flows/{FLOW_ID}/runs", data={"p.day": "mon"}, headers=own | {"hx-request": "true"}
    )
    assert answer.status_code == 204
    assert answer.headers["hx-redirect"].startswith("/runs/")
    bad = {"configuration": "fast", "p.day": "typed"}
    for headers, whole in ((own, True), (own | {"hx-request": "true"}, False)):
        answer = await http.post(f"/flows/{FLOW_ID}/runs", data=bad, headers=headers)
        assert answer.status_code == 422
        assert ("<html" in answer.text) is whole
        assert "typed" in answer.text
    answer = await http.post(f"/runs/{run_id}/cancel", headers=own)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{run_id}")
    assert (await http.post(f"/flows/{FLOW_ID}/runs", json={}, headers=own)).status_code == 422


async def test_assets(http: httpx.AsyncClient) -> None:
    import perfect_ui

    url = perfect_ui.asset_url("app.js")
    answer = await http.get(url)
    assert answer.headers["cache-control"].endswith("immutable")
    assert answer.headers["content-encoding"] == "gzip"
    plain = await http.get(url, headers={"accept-encoding": "identity"})
    assert plain.content == answer.content
    same = await http.get(url, headers={"if-none-match": answer.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")


async def test_errors_of_services_keep_their_status(gateway: GatewayService, bus: Bus) -> None:
    raised: list[Exception] = []

    async def answer(_: bytes) -> Reply:
        raise raised[0]

    await bus.answer(subjects.command("engine", "trigger"), answer)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}") as client:
        for error in (
            NotFound("no"),
            Conflicting("no"),
            InvalidInput("no", [FieldError("parameters.x", "no")]),
            TooLarge("no"),
        ):
            raised[:] = [error]
            got = await client.post("/api/engine/trigger/x")
            assert (got.status_code, got.json()["detail"]) == (error.status, "no")


async def test_port_in_use(gateway: GatewayService, start_service: Any, settings: Any) -> None:
    with pytest.raises(Conflicting, match=f"port {gateway.port} .*PERFECT_PORT"):
        await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=gateway.port))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org"])
async def test_only_loopback(start_service: Any, settings: Any, host: str) -> None:
    with pytest.raises(InvalidInput, match="it has no login"):
        await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0, host=host))
