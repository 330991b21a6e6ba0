"""The user's event loop never waits for the SDK: everything that the bus answers comes late, and no callback takes as long.

Whatever waited for an answer on the loop would take at least the delay; the limit is half of it, which is far more than
any computing takes here, and is no measure of speed.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from link import Link

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_engine.service import EngineService
from perfect_registry.service import RegistryService
from perfect_runtime.natsd import NatsServer

SCRIPT = Path(__file__).parent.parent / "flows" / "unblocked.py"
LATE_S = 0.5


@pytest.fixture
async def link(nats_server: NatsServer) -> AsyncIterator[Link]:
    made = Link("127.0.0.1", int(nats_server.connection.url.rpartition(":")[2]))
    await made.start()
    yield made
    await made.stop()


async def test_no_callback_waits_for_the_bus(
    bus: Bus, start_service, settings: Settings, nats_server: NatsServer, link: Link
) -> None:
    await start_service(RegistryService)
    await start_service(EngineService)
    server = nats_server.connection
    environment = {
        **os.environ,
        **settings.environment(),
        "PERFECT_NATS_URL": f"nats://{server.user}:{server.password}@127.0.0.1:{link.port}",
    }
    script = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", str(SCRIPT), str(LATE_S / 2)),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert script.stderr is not None
        heard = await script.stderr.readline()
        assert heard.strip() == b"ready", (heard + await script.stderr.read()).decode()
        link.late_s = LATE_S
        out, err = await asyncio.wait_for(script.communicate(b"\n"), 120)
    finally:
        if script.returncode is None:
            script.kill()
            await script.wait()
    assert script.returncode == 0, err.decode()[-3000:]
    said = json.loads(out.splitlines()[-1])
    assert len(said.pop("blocks")) == 1  # so it is noticed
    assert len(said) == 14
    assert {name: slow for name, slow in said.items() if slow} == {}
