"""Queries end with whoever waits for them, and who waits hears soon that the projector has gone."""

import asyncio
import signal
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from eventually import eventually
from projector_process import Projector

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_gateway.service import GatewayService
from perfect_projector.sandbox.audience import Audience
from perfect_projector.service import ProjectorService
from perfect_runtime.natsd import NatsServer
from perfect_schemas import subjects
from perfect_schemas.commands import Health
from perfect_schemas.queries import SqlWatch

LONG_S = 50.0
ENDLESS = "SELECT count(*) FROM range(100000000000) a, range(1000000) b"


@pytest.fixture
def patient(settings: Settings) -> Settings:
    """Nothing that a test waits for comes from the deadline."""
    return msgspec.structs.replace(settings, sql_timeout_s=LONG_S, port=0)


@pytest.fixture
async def http(start_service: Any, patient: Settings) -> AsyncIterator[httpx.AsyncClient]:
    gateway = await start_service(GatewayService, settings=patient)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=2 * LONG_S) as client:
        yield client


@pytest.mark.parametrize("path", ["/api/sql", "/sql"])
async def test_a_query_ends_with_the_connection(
    http: httpx.AsyncClient, start_service: Any, patient: Settings, path: str
) -> None:
    projector = await start_service(ProjectorService, settings=patient)

    def running() -> float:
        return projector.metrics()["sql_running"]

    fields: dict[str, Any] = (
        {"json": {"query": ENDLESS}} if path == "/api/sql" else {"data": {"query": ENDLESS}}
    )
    asking = asyncio.create_task(http.post(path, **fields))
    await eventually(lambda: running() == 1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await eventually(lambda: running() == 0, timeout_s=LONG_S / 2)
    answer = await http.post("/api/sql", json={"query": "SELECT 1"})
    assert answer.json()["rows"] == [[1]]


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGSTOP])
async def test_who_waits_hears_that_the_projector_has_gone(
    bus: Bus, http: httpx.AsyncClient, patient: Settings, nats_server: NatsServer, sig: signal.Signals
) -> None:
    nats_server.connection.save(patient.connection_file)
    projector = Projector(patient)
    await projector.start()
    try:

        async def is_up() -> bool:
            return await running_queries(bus) is not None

        async def is_running() -> bool:
            return await running_queries(bus) == 1

        await eventually(is_up)
        asking = asyncio.create_task(http.post("/api/sql", json={"query": ENDLESS}))
        await eventually(is_running)
        assert projector.process is not None
        projector.process.send_signal(sig)
        async with asyncio.timeout(LONG_S / 2):
            answer = await asking
        assert answer.status_code == 503
        assert "the projector, which answers queries, has gone" in answer.json()["detail"]
        assert answer.headers["retry-after"]
    finally:
        await projector.end(signal.SIGKILL)


async def running_queries(bus: Bus) -> float | None:
    """None while the projector does not answer."""
    try:
        reply = await bus.ask(subjects.health("projector"), {}, timeout_s=2)
    except Exception:
        return None
    return msgspec.json.decode(reply.value, type=Health).metrics.get("sql_running")


async def test_without_a_projector_it_is_said_soon(bus: Bus, http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(LONG_S / 2):
        answer = await http.post("/api/sql", json={"query": "SELECT 1"})
        assert answer.status_code == 503
        assert (await http.post("/api/sql/snapshot")).status_code == 503


async def test_a_query_that_nobody_asks_after_is_stopped() -> None:
    audience = Audience(silent_s=0.05)
    forever = asyncio.create_task(asyncio.Event().wait())
    audience.add("a", forever)
    with pytest.raises(asyncio.CancelledError):
        await forever
    assert audience.heard(SqlWatch(query_id="a")).is_known, "it runs until it says that it has ended"
    audience.remove("a")
    assert audience.heard(SqlWatch(query_id="a")).is_known, "its answer may be on its way"
    assert not audience.heard(SqlWatch(query_id="b")).is_known
    audience.close()


async def test_a_query_that_somebody_asks_after_goes_on() -> None:
    audience = Audience(silent_s=30)
    for wanted_by in ("", "a"):
        task = asyncio.create_task(asyncio.sleep(0, "done"))
        audience.add(wanted_by, task)
        assert audience.heard(SqlWatch(query_id=wanted_by)).is_known
        assert await task == "done"
        audience.remove(wanted_by)
    audience.close()
    task = asyncio.create_task(asyncio.Event().wait())
    audience.add("c", task)
    audience.heard(SqlWatch(query_id="c", stop=True))
    with pytest.raises(asyncio.CancelledError):
        await task
    audience.close()
