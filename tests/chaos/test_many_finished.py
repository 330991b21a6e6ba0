"""The engine starts beside many runs that have ended: it reads what has not."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from chaos import FULL

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_engine.service import EngineService
from perfect_schemas import codec, ids, subjects
from perfect_schemas.events import RunCompleted, RunScheduled, RunStarted

RUNS = 100_000 if FULL else 20_000
LIMIT_S = 2.0
TIMES = 3  # the fastest counts: the machine may be busy with something else


@pytest.mark.timeout(120)
async def test_the_engine_is_ready_at_once(
    bus: Bus, settings: Settings, start_service: Callable[..., Awaitable[Any]]
) -> None:
    flow = ids.flow_id("finished")
    common = {"at": datetime.now(UTC), "source": "test"}
    for n in range(RUNS):
        run_id = ids.uuid7()
        events = [
            RunScheduled(id=ids.uuid7(), run_id=run_id, flow_id=flow, flow_name="finished", **common),
            RunStarted(id=ids.uuid7(), run_id=run_id, epoch=1, client_id=run_id, client_name="w", **common),
            RunCompleted(id=ids.uuid7(), run_id=run_id, epoch=1, duration_ms=1, **common),
        ]
        for event in events[: 2 if n % 1000 == 0 else 3]:  # one of a thousand has not ended
            bus.outbox.put(subjects.run(run_id), codec.encode(event))
        await bus.outbox.room()
    await bus.outbox.flush()
    took: list[float] = []
    for _ in range(TIMES):
        began = time.monotonic()
        service = await start_service(EngineService)
        took.append(time.monotonic() - began)
        assert len(service.process.board.runs) == RUNS // 1000
        await service.stop()
    print(f"{RUNS} runs: the engine was ready after {', '.join(f'{each:.2f}' for each in took)} s")
    assert min(took) <= LIMIT_S
