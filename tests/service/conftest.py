"""Services that several files of tests start the same way. A file that needs another one has a fixture of the same name."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_engine.service import EngineService
from perfect_gateway.service import GatewayService
from perfect_projector.service import ProjectorService
from perfect_registry.service import RegistryService


@pytest.fixture
async def registry(start_service: Any) -> RegistryService:
    return await start_service(RegistryService)


@pytest.fixture
async def engine(start_service: Any, registry: RegistryService) -> EngineService:
    return await start_service(EngineService)


@pytest.fixture
async def gateway(bus: Bus, start_service: Any, settings: Settings) -> GatewayService:
    return await start_service(GatewayService, settings=msgspec.structs.replace(settings, port=0))


@pytest.fixture
async def projector(start_service: Any, settings: Settings) -> ProjectorService:
    """Which lets SQL of people have 256 MiB."""
    return await start_service(
        ProjectorService, settings=msgspec.structs.replace(settings, sql_memory_bytes=256 * 2**20)
    )


@pytest.fixture
async def system(projector: ProjectorService, gateway: GatewayService) -> GatewayService:
    """A gateway with a projector behind it."""
    return gateway


@pytest.fixture
async def http(system: GatewayService) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{system.port}", timeout=60) as client:
        yield client
