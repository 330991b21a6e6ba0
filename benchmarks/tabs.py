"""A thousand open tabs on one gateway: from the publish of an event until every one of them has it, and what that costs.

Each is a connection to the stream of the list of runs. All events are said, and all tabs are read, by this process.
"""

import asyncio
import re
import socket
import time
from typing import Any

from harness import System, percentile, report, system
from idle import pss_mb
from processor import on_processor_s

from perfect_bus import Bus
from perfect_bus.connection import Connection
from perfect_schemas import events, ids, subjects
from perfect_schemas.codec import encode
from perfect_schemas.envelope import utc_now

TABS = 1000
CHANGES = 40
EVERY_S = 0.25
LAST_S = 10.0
FLOW = "bench tabs"
ROW = re.compile(rb'id="run-row-([0-9a-f-]{36})"')
OVERLAP = 64  # longer than what ROW finds, for a row at the seam of two reads


class Tab(asyncio.Protocol):
    """heard: run id → when this tab had its row first, of `time.perf_counter`."""

    def __init__(self) -> None:
        self.heard: dict[str, float] = {}
        self.ready = asyncio.get_running_loop().create_future()
        self.is_open = True
        self._end = b""

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        text = self._end + data
        if not self.ready.done() and b"event: hello" in text:
            self.ready.set_result(None)
        for found in ROW.finditer(text):
            self.heard.setdefault(found[1].decode(), now)
        self._end = text[-OVERLAP:]

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_open = False


def main() -> None:
    with system(workers=0) as running:
        status, value, _ = running.api.call("POST", "/api/engine/register", {"name": FLOW})
        if status != 201:
            raise RuntimeError(f"register: {status} {value}")
        gateway = running.process("gateway")
        before = pss_mb(gateway)
        figures = asyncio.run(measure(running, gateway))
    report(
        "tabs",
        f"{TABS} tabs: {figures['p95_ms']:.0f} ms to 95 % of them, {figures['all_p95_ms']:.0f} ms to all (95 % of changes), "
        f"gateway {before:.0f} → {figures['pss_mb']:.0f} MB, {figures['dropped']} dropped, {figures['missed']} missed",
        before_mb=before,
        **figures,
    )


async def measure(running: System, gateway: int) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    tabs = []
    for _ in range(TABS):
        transport, tab = await loop.create_connection(Tab, "127.0.0.1", running.port, family=socket.AF_INET)
        transport.write(
            b"GET /events?topics=runs HTTP/1.1\r\nhost: 127.0.0.1\r\naccept-encoding: gzip\r\n\r\n"
        )
        await asyncio.wait_for(tab.ready, 10)
        tabs.append(tab)
    bus = await Bus.connect(Connection.load(running.folder / "connection.json"), name="benchmark tabs")
    cpu, began = on_processor_s([gateway]), time.perf_counter()
    said: dict[str, float] = {}
    for _ in range(CHANGES):
        said |= await say(bus)
        await asyncio.sleep(EVERY_S)
    deadline = time.perf_counter() + LAST_S
    while time.perf_counter() < deadline and any(said.keys() - tab.heard.keys() for tab in tabs):
        await asyncio.sleep(0.01)
    percent = (on_processor_s([gateway]) - cpu) / (time.perf_counter() - began) * 100
    await bus.close()
    waits = [(tab.heard[run] - at) * 1000 for run, at in said.items() for tab in tabs if run in tab.heard]
    lasts = [max((tab.heard.get(run, deadline) - at) * 1000 for tab in tabs) for run, at in said.items()]
    return {
        "tabs": TABS,
        "changes": CHANGES,
        "p50_ms": percentile(waits, 50),
        "p95_ms": percentile(waits, 95),
        "all_p95_ms": percentile(lasts, 95),
        "pss_mb": pss_mb(gateway),
        "cpu_percent": percent,
        "dropped": sum(not tab.is_open for tab in tabs),
        "missed": TABS * CHANGES - len(waits),
    }


async def say(bus: Bus) -> dict[str, float]:
    """A new run; its id, and when it was handed to the bus."""
    run_id = ids.uuid7()
    event = events.RunScheduled(
        id=ids.uuid7(),
        at=utc_now(),
        source="benchmark",
        run_id=run_id,
        flow_id=ids.flow_id(FLOW),
        flow_name=FLOW,
    )
    now = time.perf_counter()
    await bus.outbox.send(subjects.run(run_id), encode(event), event.id)
    return {run_id: now}


if __name__ == "__main__":
    main()
