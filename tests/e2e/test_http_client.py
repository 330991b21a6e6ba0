"""The client for programs that speak HTTP only, against the whole system."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from eventually import eventually
from running import Running, running

from perfect_bus.settings import Settings
from perfect_runtime.up import GROUPS
from perfect_runtime.verify import verify
from perfect_schemas import commands, ids, subjects
from perfect_schemas.states import RunState
from perfect_sdk import create_client
from perfect_sdk.http.client import PerfectAPIClient

DEFINITION = {
    "name": "by http",
    "description": "executed by a program that speaks HTTP",
    "tags": ["http"],
    "tasks": [{"name": "only", "weight": 1, "estimated_time": 10}],
}
LISTENER = """
import sys, threading
from perfect_sdk import create_client
client = create_client(sys.argv[1], name=sys.argv[2])
assert client.register_flow({"name": "by http"})
@client.on_execution_request
def execute(run_id, flow_id, configuration, parameters):
    print("began", run_id, flush=True)
    threading.Event().wait()
client.listen_for_executions()
"""


@pytest.fixture
async def system(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings, groups=GROUPS) as system:
        yield system


@pytest.fixture
def listen(system: Running) -> Iterator[Any]:
    """`client = listen(callback, name=…)`: registered, and listening in a thread until the test is over."""
    listening: list[tuple[PerfectAPIClient, threading.Thread]] = []

    def start(callback: Any, *, definition: dict[str, Any] = DEFINITION, **options: Any) -> PerfectAPIClient:
        client = create_client(system.system.url, **options)
        assert client.register_flow(definition)
        client.on_execution_request(callback)
        thread = threading.Thread(target=client.listen_for_executions)
        thread.start()
        listening.append((client, thread))
        return client

    yield start
    for client, thread in listening:
        client.stop()
        thread.join(10)
        assert not thread.is_alive()


def call(system: Running, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    request = urllib.request.Request(
        system.system.url + path,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


async def ask(system: Running, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    return await asyncio.to_thread(call, system, method, path, body)


async def trigger(system: Running, **parameters: Any) -> str:
    status, run = await ask(
        system, "POST", "/api/engine/trigger/by%20http", {"parameters": parameters, "configuration": "debug"}
    )
    assert status == 202, run
    return run["id"]


async def test_executions_complete_fail_log_and_say_why_they_wait(system: Running, listen: Any) -> None:
    called: list[tuple[str, str, dict[str, Any]]] = []
    status, flow = await ask(system, "POST", "/api/engine/register", DEFINITION)
    assert status == 201
    early = await trigger(system, n=1)
    await system.until(early, lambda h: h.run is not None and h.run.state == "PENDING")
    waiting = await ask(system, "GET", f"/api/engine/runs/{early}")
    assert waiting[1]["state"] == "PENDING"

    def execute(run_id: str, flow_id: str, configuration: str, parameters: dict[str, Any]) -> Any:
        called.append((flow_id, configuration, parameters))
        assert client.send_log(run_id, "begins")
        assert client.send_log(run_id, ["one", "two"])
        if parameters.get("fails"):
            raise ValueError("no such day")
        return {"double": parameters["n"] * 2, "text": "x" * parameters.get("size", 0)}

    client = await asyncio.to_thread(listen, execute, name="listener-1")
    done = (await system.until_final(early)).run
    assert done is not None
    assert (done.state, done.client_name, done.epoch) == (RunState.COMPLETED, "listener-1", 1)
    assert msgspec.json.decode(done.result.value)["double"] == 2
    assert called == [(flow["id"], "debug", {"n": 1})]

    failed = (await system.until_final(await trigger(system, n=1, fails=True))).run
    assert failed is not None
    assert failed.state == "FAILED"
    assert (failed.error.kind, failed.error.message) == ("builtins:ValueError", "no such day")
    assert "in execute" in failed.error.traceback

    large = (await system.until_final(await trigger(system, n=4, size=400_000))).run
    assert large is not None
    assert large.state == "COMPLETED"
    assert large.result.ref is not None
    store = await system.bus.js.object_store(subjects.RESULTS)
    assert len((await store.get(large.result.ref)).data or b"") == large.result.size_bytes > 400_000

    async def lines() -> Any:
        _, found = await ask(system, "GET", f"/api/engine/runs/{early}/logs")
        return found if len(found) == 3 else None

    assert [line["message"] for line in await eventually(lines)] == ["begins", "one", "two"]
    _, clients = await ask(system, "GET", "/api/clients")
    assert [(one["name"], one["slots"], one["state"]) for one in clients] == [("listener-1", 1, "CONNECTED")]
    client.stop()

    async def gone() -> bool:
        return (await ask(system, "GET", "/api/clients"))[1][0]["state"] != "CONNECTED"

    await eventually(gone)
    report = await verify(system.bus)
    assert not report.differences, report


async def test_a_listener_is_killed_and_a_second_one_finishes(system: Running, listen: Any) -> None:
    first = subprocess.Popen(
        [sys.executable, "-c", LISTENER, system.system.url, "doomed"], stdout=subprocess.PIPE
    )
    try:
        assert first.stdout is not None
        await ask(system, "POST", "/api/engine/register", DEFINITION)
        run_id = await trigger(system)
        began = await asyncio.wait_for(asyncio.to_thread(first.stdout.readline), 20)
        assert began.decode().split() == ["began", run_id]
        await asyncio.to_thread(listen, lambda *_: "second", name="heir")
        first.kill()
        run = (await system.until_final(run_id)).run
        assert run is not None
        assert (run.state, run.client_name, run.epoch) == (RunState.COMPLETED, "heir", 2)
    finally:
        first.kill()
        first.wait()
        first.stdout.close()


async def test_the_gateway_dies_and_the_execution_goes_on(system: Running, listen: Any) -> None:
    began, go_on = threading.Event(), threading.Event()
    calls: list[str] = []

    def execute(run_id: str, *_: Any) -> int:
        calls.append(run_id)
        began.set()
        go_on.wait(30)
        return 7

    client = await asyncio.to_thread(listen, execute, name="patient")
    run_id = await trigger(system)
    assert await asyncio.to_thread(began.wait, 20)
    os.kill(system.pid_of("gateway"), signal.SIGKILL)
    await system.until(run_id, lambda h: h.run is not None and h.run.epoch == 2)
    go_on.set()
    run = (await system.until_final(run_id)).run
    assert run is not None
    assert (run.state, run.epoch, calls) == (RunState.COMPLETED, 2, [run_id])
    await eventually(lambda: client.is_cancelled(run_id))  # it is no longer executed


async def test_cancelled(system: Running, listen: Any) -> None:
    began, told = threading.Event(), threading.Event()

    def execute(run_id: str, *_: Any) -> None:
        began.set()
        assert told.wait(20)
        assert client.is_cancelled(run_id)

    client = await asyncio.to_thread(listen, execute)
    client.on_cancel(lambda _: told.set())
    run_id = await trigger(system)
    assert await asyncio.to_thread(began.wait, 20)
    assert (await ask(system, "POST", f"/api/engine/runs/{run_id}/cancel"))[0] == 202
    run = (await system.until_final(run_id)).run
    assert run is not None
    assert (run.state, run.reason) == (RunState.CANCELLED, "its listener ended it")


async def test_a_report_without_the_claim_is_refused(system: Running, listen: Any) -> None:
    began, go_on = threading.Event(), threading.Event()

    def execute(*_: Any) -> None:
        began.set()
        go_on.wait(30)

    await asyncio.to_thread(listen, execute)
    run_id = await trigger(system)
    path = f"/api/engine/runs/{run_id}/state"
    assert await asyncio.to_thread(began.wait, 20)
    holder = (await system.until(run_id, lambda h: h.run is not None and h.run.epoch == 1)).run
    assert holder is not None
    own = {"state": "COMPLETED", "client_id": holder.client_id, "epoch": 1}
    for wrong in ({**own, "client_id": ids.uuid7()}, {**own, "epoch": 2}):
        status, problem = await ask(system, "POST", path, wrong)
        assert status == 409
        assert "does not hold" in problem["detail"]
    assert (await ask(system, "POST", path, {"state": "DONE"}))[0] == 422
    assert (await ask(system, "POST", f"/api/engine/runs/{ids.uuid7()}/state", own))[0] == 404
    assert await ask(system, "POST", path, own) == (200, {"run_id": run_id, "state": "COMPLETED"})
    assert await ask(system, "POST", path, own) == (200, {"run_id": run_id, "state": "COMPLETED"})
    go_on.set()  # its own report is a repeat


async def test_what_cannot_be_listened_for(system: Running) -> None:
    path = "/api/client/executions"
    assert (await ask(system, "GET", path))[0] == 422
    assert (await ask(system, "GET", f"{path}?flows=unheard%20of"))[0] == 404
    await system.bus.ask(subjects.command("registry", "register"), commands.RegisterFlow(name="known"))
    assert (await ask(system, "GET", f"{path}?flows=known&slots=0"))[0] == 422
    assert (await ask(system, "GET", f"{path}?flows=known&holding=x"))[0] == 422
