"""nats-server is killed between storing a message and acknowledging it: it is decided once all the same.

A relay between everybody and the server swallows the acknowledgement; the server dies once the message is stored.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from chaos import Witness, check_run, read_trace, stored
from eventually import eventually
from link import Link
from running import FLOWS, running

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_runtime.natsd import NatsServer
from perfect_runtime.verify import verify

TASKS, WIDTH = 200, 4  # of the flows in traced.py


@pytest.fixture
async def link(nats_server: NatsServer) -> AsyncIterator[Link]:
    made = Link("127.0.0.1", int(nats_server.connection.url.rpartition(":")[2]))
    await made.start()
    yield made
    await made.stop()


@pytest.mark.timeout(120)
async def test_decided_once(
    settings: Settings, nats_server: NatsServer, link: Link, bus: Bus, tmp_path: Path
) -> None:
    connection = nats_server.connection
    url = f"nats://{connection.user}:{connection.password}@127.0.0.1:{link.port}"
    settings = msgspec.structs.replace(settings, data_dir=tmp_path / "system", nats_url=url)
    trace = tmp_path / "trace"

    async def die(where: str, before: int, sent: asyncio.Future[None]) -> None:
        """Once the message is sent and stored."""
        await sent
        await eventually(lambda: _has_grown(bus, where, before))
        nats_server.kill()
        await asyncio.to_thread(nats_server.start)

    async with running(settings) as system, Witness(bus).watching() as witness:
        await system.worker(FLOWS / "traced.py", processes=1)
        for flow in ("Traced", "Traced async"):
            for where, marker in (
                ("EVENTS", b'"type":"run.scheduled"'),
                ("EVENTS", b'"type":"run.queued"'),
                ("EVENTS", b"PUB perfect.ctl."),  # the offer, behind its events
                ("EVENTS", b'"type":"run.started"'),
                ("EVENTS", b'"type":"task.completed"'),
                ("EVENTS", b'"type":"run.completed"'),
            ):
                before = (await bus.js.stream_info(where)).state.last_seq
                dying = asyncio.create_task(die(where, before, link.swallow(marker)))
                run_id = await system.trigger(flow, path=str(trace), seconds=0)
                await dying
                history = await witness.until_final(run_id, 30)
                assert history.run.epoch == 1, marker
                events = await stored(bus, run_id)
                assert check_run(events, read_trace(trace)[run_id], tasks=TASKS, width=WIDTH) == 0
                kinds = Counter(event.type for _, event in events)
                decisions = ("run.scheduled", "run.queued", "run.started", "run.completed")
                assert [kinds[kind] for kind in decisions] == [1, 1, 1, 1], (marker, kinds)
                assert kinds["task.completed"] == kinds["task.started"] == TASKS
                assert len({event.id for _, event in events}) == len(events)
                await eventually(lambda: _is_empty(bus, "WORK"))
        difference = await verify(bus)
        assert difference.ok, "\n".join(difference.differences[:20])


async def _has_grown(bus: Bus, stream: str, before: int) -> bool:
    return (await bus.js.stream_info(stream)).state.last_seq > before


async def _is_empty(bus: Bus, stream: str) -> bool:
    return not (await bus.js.stream_info(stream)).state.messages
