"""Fixtures that all tests share. NATS is never mocked: each test gets a nats-server of its own (20 ms)."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perfect_bus import Bus
from perfect_bus.bus import Connection
from perfect_bus.settings import Settings
from perfect_runtime.natsd import NatsServer


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A system that runs on this machine, or the settings of whoever runs the tests, must not reach in."""
    import os

    for name in list(os.environ):
        if name.startswith("PERFECT_") and name != "PERFECT_NATS_SERVER":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Short leases, yet longer than a busy machine stands still, a data folder of the test's own, any free ports;
    nothing leaves the bus (what tests say happened may lie long ago). Override what the test is about by
    `msgspec.structs.replace(settings, lease_s=2)`."""
    return Settings(
        data_dir=tmp_path / "data", lease_s=3.0, presence_every_s=0.5, cancel_grace_s=2.0, purge_after_s=0
    )


@pytest.fixture
def nats_server(settings: Settings) -> Iterator[NatsServer]:
    """A running nats-server with credentials. `.connection`, `.pid`, `.kill()` (SIGKILL), `.start()` again (same
    port and credentials), `.stop()`."""
    server = NatsServer(settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def connection(nats_server: NatsServer) -> Connection:
    return nats_server.connection


@pytest.fixture
async def make_bus(connection: Connection) -> AsyncIterator[Callable[..., Awaitable[Bus]]]:
    """`await make_bus("name")`: another connection, closed at the end of the test."""
    made: list[Bus] = []

    async def make(name: str = "test") -> Bus:
        made.append(await Bus.connect(connection, name=name))
        return made[-1]

    yield make
    for bus in made:
        with contextlib.suppress(Exception):
            await bus.close(flush_s=0.5)


@pytest.fixture
async def bus(make_bus: Callable[..., Awaitable[Bus]]) -> Bus:
    """A connection on which all streams exist."""
    made = await make_bus("test")
    await made.ensure_streams()
    return made


@pytest.fixture
async def start_service(
    make_bus: Callable[..., Awaitable[Bus]], settings: Settings
) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """`service = await start_service(EngineService)`: the service on a connection of its own, ready, in this process.

    `await service.stop()` ends it early. A failure in its background fails the test.
    """
    import structlog

    from perfect_runtime.service import Context, Service

    started: list[Service] = []

    async def start(kind: type[Service], *, settings: Settings = settings) -> Service:
        service_bus = await make_bus(kind.name)
        await service_bus.ensure_streams()
        service = kind(
            Context(bus=service_bus, settings=settings, log=structlog.stdlib.get_logger(kind.name))
        )
        await service.answer_health()
        started.append(service)
        await service.start()
        service.status = "ready"
        return service

    yield start
    for service in started:
        await service.stop()
        await service.context.cancel_spawned()
        if service.context.failure.done():
            service.context.failure.result()


@pytest.fixture
def workers(connection: Connection, settings: Settings, tmp_path: Path) -> Iterator[Any]:
    """`workers.start(FLOWS)`: a worker's process. All of them are stopped at the end."""
    from worker_process import Workers

    made = Workers(connection, settings, tmp_path)
    yield made
    made.stop()


@pytest.fixture
async def eyes(bus: Bus, start_service: Callable[..., Awaitable[Any]], workers: Any) -> Any:
    """What tests ask of registry and engine, which run in this process, and wait for on the streams."""
    from worker_process import Eyes

    from perfect_engine.service import EngineService
    from perfect_registry.service import RegistryService

    await start_service(RegistryService)
    await start_service(EngineService)
    return Eyes(bus, workers)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where flows leave a line for each body that runs."""
    return str(tmp_path / "trace")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where several processes share the tests (`just test`), each takes whole files, so that what a file's tests share is
    made once; the kill tests are one share, so that no two of them fight for the machine.
    """
    from xdist.scheduler import LoadFileScheduling

    class Shares(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "chaos" if "tests/chaos/" in nodeid else super()._split_scope(nodeid)

    return Shares(config, log)


def pytest_unconfigure() -> None:
    """Hypothesis keeps references to modules for as long as the interpreter lives, which duckdb's bindings report as
    leaks when it ends, after pytest's last line. Nothing else is said there."""
    import atexit
    import os
    import sys

    if "_duckdb" in sys.modules and "hypothesis" in sys.modules:
        atexit.register(lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2))
