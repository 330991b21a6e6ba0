"""The floor of W3: the ways that a trigger takes between processes, with nothing at their ends.

    python benchmarks/hops.py

From the request to the first line of user code it is one HTTP request, two messages of core NATS (to the engine, to the worker),
one stored and acknowledged event (the claim) and one frame over a Unix socket, each waiting for the one before it. Here each
is made alone, after a pause as long as W3's, between two processes of the kind that we have (uvloop, our client, our HTTP
server), the other one noting only when it heard of it. Their sum is what no code of ours can fall below on this machine.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness import Api, System, system

from perfect_bus import Bus
from perfect_bus.connection import Connection
from perfect_schemas import ids, subjects
from perfect_schemas.codec import encode
from perfect_schemas.envelope import utc_now
from perfect_schemas.events import LogBatch

ROUNDS = 30
PAUSE_S = 0.05
SUBJECT = "perfect.ctl.bench.run"
WAYS = {"http": 1, "message": 2, "stored": 1, "frame": 1}
"""Way → how often a trigger takes it, one after the other."""


def floor_ms(each: dict[str, float]) -> float:
    """each: as `measured` gives it."""
    return sum(each[way] * count for way, count in WAYS.items())


def measured(running: System, rounds: int = ROUNDS) -> dict[str, float]:
    """Way → median, ms."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        far = subprocess.Popen(
            [sys.executable, __file__, "far", str(running.folder / "connection.json"), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
        )
        try:
            assert far.stdout is not None
            port = int(far.stdout.readline())
            return asyncio.run(_near(running.folder, port, ours, far.stdout, rounds))
        finally:
            far.kill()
            far.wait()


async def _near(folder: Path, port: int, frames: socket.socket, heard: Any, rounds: int) -> dict[str, float]:
    bus = await Bus.connect(Connection.load(folder / "connection.json"), name="bench hops")
    api, took = Api(port), {way: [] for way in WAYS}
    try:
        for _ in range(rounds):
            for way in WAYS:
                await asyncio.sleep(PAUSE_S)
                batch = LogBatch(id=ids.uuid7(), at=utc_now(), source="bench", run_id=ids.uuid7(), lines=[])
                begin = time.time_ns()
                if way == "http":
                    api.call("POST", "/", {"parameters": {}})
                elif way == "message":
                    await bus.nc.publish(SUBJECT, b"{}")
                elif way == "frame":
                    frames.send(b"{}")
                if way == "stored":
                    await bus.outbox.send(subjects.log(batch.run_id or ""), encode(batch), batch.id)
                    end = time.time_ns()
                else:
                    end = int(await asyncio.to_thread(heard.readline))
                took[way].append((end - begin) / 1e6)
    finally:
        await bus.close()
    return {way: statistics.median(all_ms) for way, all_ms in took.items()}


async def _far(connection: str, descriptor: int) -> None:
    """Notes when it hears something."""
    from perfect_gateway.server import HttpServer

    def note() -> None:
        os.write(1, b"%d\n" % time.time_ns())

    async def app(_: Any, receive: Any, send: Any) -> None:
        note()
        await receive()
        await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}", "more_body": False})

    class Frames(asyncio.Protocol):
        def data_received(self, _: bytes) -> None:
            note()

    server = HttpServer(app, "127.0.0.1", 0)
    serving = asyncio.create_task(server.serve())
    await server.listening()
    bus = await Bus.connect(Connection.load(Path(connection)), name="bench far")
    await bus.nc.listen(SUBJECT, lambda _: note())
    await asyncio.get_running_loop().create_unix_connection(Frames, sock=socket.socket(fileno=descriptor))
    os.write(1, b"%d\n" % server.port)
    await serving


if __name__ == "__main__":
    if sys.argv[1:2] == ["far"]:
        import uvloop

        uvloop.run(_far(sys.argv[2], int(sys.argv[3])))
    with system(workers=0) as found:
        each = measured(found)
    print({way: round(took, 3) for way, took in each.items()})
    print(f"floor of W3: {floor_ms(each):.2f} ms")
