"""Executions over HTTP as the gateway gives them out, with the real engine, registry and projector."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from eventually import eventually

from perfect_bus import Bus
from perfect_engine.service import EngineService
from perfect_gateway.service import GatewayService
from perfect_projector.service import ProjectorService
from perfect_registry.service import RegistryService
from perfect_runtime.natsd import NatsServer
from perfect_schemas import codec, commands, ids, subjects
from perfect_schemas.events import RunLost
from perfect_schemas.folds import run as fold
from perfect_schemas.folds.run import RunLife

FLOW = "listened for"
FLOW_ID = ids.flow_id(FLOW)


class Listening:
    """One open connection."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()

    async def next(self, name: str | None = None, timeout_s: float = 60) -> tuple[str, Any]:
        """The next message that is no ping; it must be called `name`."""
        event = "message"
        async with asyncio.timeout(timeout_s):
            async for line in self._lines:
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: ") and event != "ping":
                    assert name in (None, event), (event, line)
                    return event, json.loads(line[6:])
        raise AssertionError("the stream has ended")

    async def get(self, name: str) -> Any:
        return (await self.next(name))[1]


class System:
    def __init__(self, bus: Bus, gateway: GatewayService, http: httpx.AsyncClient) -> None:
        self.bus = bus
        self.gateway = gateway
        self.http = http

    @contextlib.asynccontextmanager
    async def listen(self, **query: Any) -> AsyncIterator[Listening]:
        query = {"flows": FLOW, "name": "tester", **query}
        async with self.http.stream("GET", "/api/client/executions", params=query) as answer:
            assert answer.status_code == 200, await answer.aread()
            yield Listening(answer)

    async def trigger(self) -> str:
        run_id = ids.uuid7()
        await self.bus.ask(
            subjects.command("engine", "trigger"), commands.TriggerRun(run_id=run_id, flow=FLOW)
        )
        return run_id

    async def report(
        self, execution: dict[str, Any], state: str = "COMPLETED", **more: Any
    ) -> httpx.Response:
        body = {"state": state, "client_id": execution["client_id"], "epoch": execution["epoch"], **more}
        return await self.http.post(f"/api/engine/runs/{execution['run_id']}/state", json=body)

    async def life(self, run_id: str) -> RunLife:
        life: RunLife | None = None
        for seq, event in await self.bus.read(subjects.run(run_id)):
            life = fold.evolve(life, event, seq)
        assert life is not None
        return life

    async def present(self) -> dict[str, commands.Presence]:
        found, _ = await self.bus.last_of_each(subjects.presence("*"), stream=f"KV_{subjects.CLIENTS}")
        return {
            subject.rpartition(".")[2]: msgspec.json.decode(data, type=commands.Presence)
            for subject, (_, data) in found.items()
            if data
        }

    async def said_of(self, client_id: str) -> list[str]:
        return [event.type for _, event in await self.bus.read(subjects.client(client_id), stream="DEFS")]


@pytest.fixture
async def system(bus: Bus, start_service: Any, settings: Any) -> AsyncIterator[System]:
    for kind in (RegistryService, ProjectorService, EngineService):
        await start_service(kind)
    await bus.ask(subjects.command("registry", "register"), commands.RegisterFlow(name=FLOW))
    gateway = await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=30) as http:
        yield System(bus, gateway, http)


async def test_slots_bound_what_a_listener_is_given(system: System) -> None:
    async with system.listen(slots=2) as listening:
        hello = await listening.get("hello")
        assert hello == {
            "client_id": hello["client_id"], "name": "tester", "slots": 2, "flows": [FLOW_ID],
            "resumed": [], "revoked": [],
        }  # fmt: skip
        runs = [await system.trigger() for _ in range(3)]
        first, second = [await listening.get("execution") for _ in range(2)]
        assert {first["run_id"], second["run_id"]} == set(runs[:2])
        assert first | {"run_id": ""} == {
            "run_id": "", "flow_id": FLOW_ID, "flow_name": FLOW, "configuration": "development",
            "parameters": {}, "tags": [], "client_id": hello["client_id"], "epoch": 1,
        }  # fmt: skip
        assert (await system.life(runs[2])).state == "PENDING"
        answer = await system.report(first, result={"n": 1})
        assert (answer.status_code, answer.json()) == (
            200,
            {"run_id": first["run_id"], "state": "COMPLETED"},
        )
        third = await listening.get("execution")
        assert third["run_id"] == runs[2]
        assert (await system.report(second, "FAILED", error="no")).json()["state"] == "FAILED"
        life = await system.life(second["run_id"])
        assert life.error is not None
        assert (life.error.message, life.client_name) == ("no", "tester")
        assert (await system.report(third)).status_code == 200
        assert len(system.gateway.listeners) == 1


async def test_who_goes_with_empty_hands_says_good_bye(system: System) -> None:
    async with system.listen() as listening:
        client_id = (await listening.get("hello"))["client_id"]
        await eventually(lambda: _in(system, client_id))
    await eventually(lambda: _out(system, client_id))
    await eventually(lambda: not len(system.gateway.listeners))

    async def said() -> bool:
        return await system.said_of(client_id) == ["client.connected", "client.disconnected"]

    await eventually(said)


async def _in(system: System, client_id: str) -> bool:
    return client_id in await system.present()


async def _out(system: System, client_id: str) -> bool:
    return client_id not in await system.present()


async def test_who_goes_with_a_run_loses_it_after_its_lease(system: System) -> None:
    run_id = await system.trigger()
    async with system.listen() as gone:
        await gone.get("hello")
        lost = await gone.get("execution")
        assert lost["run_id"] == run_id
    async with system.listen(name="second") as listening:
        await listening.get("hello")
        again = await listening.get("execution")
        assert (again["run_id"], again["epoch"]) == (run_id, 2)
        late = await system.report(lost)
        assert late.status_code == 409
        assert "second executes it" in late.json()["detail"]
        assert (await system.report(again)).status_code == 200
    events = [event for _, event in await system.bus.read(subjects.run(run_id))]
    assert [event.client_id for event in events if isinstance(event, RunLost)] == [lost["client_id"]]
    assert (await system.report(lost)).status_code == 409


async def test_who_comes_back_in_time_goes_on(system: System) -> None:
    held, other = await system.trigger(), await system.trigger()
    async with system.listen(slots=2) as gone:
        await gone.get("hello")
        executions = {one["run_id"]: one for one in [await gone.get("execution") for _ in range(2)]}
    first = executions[held]
    back = {"client_id": first["client_id"], "slots": 2}
    async with system.listen(**back, holding=f"{held}:1,{ids.uuid7()}:1") as listening:
        hello = await listening.get("hello")
        assert hello["resumed"] == [{"run_id": held, "epoch": 2}]
        assert len(hello["revoked"]) == 1
        assert (await system.report(first)).status_code == 409
        renewed = {**first, "client_id": hello["client_id"], "epoch": 2}
        again = await listening.get("execution")  # what it did not name is lost with its old connection
        assert (again["run_id"], again["epoch"]) == (other, 2)
        assert (await system.report(renewed)).status_code == 200
        assert (await system.report(again)).status_code == 200
        assert (await system.life(held)).state == "COMPLETED"
    async with system.listen(client_id=hello["client_id"], holding=f"{held}:2") as listening:
        assert (await listening.get("hello"))["revoked"] == [held]


async def test_a_new_connection_takes_the_place_of_one_that_hangs(system: System) -> None:
    run_id = await system.trigger()
    async with system.listen() as old:
        await old.get("hello")
        first = await old.get("execution")
        async with system.listen(client_id=first["client_id"], holding=f"{run_id}:1") as new:
            assert (await new.get("hello"))["resumed"] == [{"run_id": run_id, "epoch": 2}]
            assert len(system.gateway.listeners) == 1
            with pytest.raises(AssertionError, match="ended"):
                await old.next()


async def test_cancelled_and_when_it_does_not_end_revoked(system: System) -> None:
    async with system.listen() as listening:
        await listening.get("hello")
        for reports in (True, False):
            run_id = await system.trigger()
            execution = await listening.get("execution")
            answer = await system.http.post(f"/api/engine/runs/{run_id}/cancel")
            assert answer.status_code == 202
            assert await listening.get("cancel") == {"run_id": run_id, "epoch": 1}
            if reports:
                assert (await system.report(execution)).json()["state"] == "CANCELLED"
                assert (await system.report(execution)).json()["state"] == "CANCELLED"
            else:
                assert await listening.get("revoked") == {"run_id": run_id, "epoch": 1}
                assert (await system.report(execution)).status_code == 409
            assert (await system.life(run_id)).state == "CANCELLED"


async def test_a_restart_of_nats_changes_nothing(system: System, nats_server: NatsServer) -> None:
    run_id = await system.trigger()
    async with system.listen() as listening:
        await listening.get("hello")
        execution = await listening.get("execution")
        nats_server.kill()
        nats_server.start()
        answer = await system.report(execution)
        assert (answer.status_code, answer.json()["state"]) == (200, "COMPLETED")
        second = await system.trigger()
        assert (await listening.get("execution"))["run_id"] == second
        assert (await system.life(run_id)).epoch == 1


async def test_the_gateway_ends_with_open_connections(system: System) -> None:
    run_id = await system.trigger()
    async with system.listen() as listening:
        await listening.get("hello")
        execution = await listening.get("execution")
        async with asyncio.timeout(60):
            await system.gateway.stop()
        with pytest.raises((AssertionError, httpx.HTTPError)):
            await listening.next()
    present = await system.present()
    assert present[execution["client_id"]].draining  # one lease to come back to the next gateway
    assert codec.encode(await system.life(run_id))


async def test_wrong_questions(system: System) -> None:
    for query, status in (
        ({}, 422),
        ({"flows": "nobody knows it"}, 404),
        ({"flows": FLOW, "slots": 0}, 422),
        ({"flows": FLOW, "holding": "x"}, 422),
        ({"flows": FLOW, "other": "x"}, 422),
    ):
        answer = await system.http.get("/api/client/executions", params=query)
        assert answer.status_code == status, answer.text
    missing = {"run_id": ids.uuid7(), "client_id": ids.uuid7(), "epoch": 1}
    assert (await system.report(missing)).status_code == 404
    assert (await system.report({**missing, "run_id": "x"})).status_code == 404
    assert (await system.report({**missing, "epoch": "one"})).status_code == 422
