"""What a system stands on: programs, folder, disk, the server and its streams, clocks, services. Each check says what it
means, what was found, and passes or fails.
"""

import importlib.metadata
import json
import platform
import re
import stat
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from nats.js.errors import NotFoundError

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_runtime.errors import CannotStart
from perfect_runtime.nats_binary import MINIMUM, find_nats_server, read_version
from perfect_runtime.service import SERVICES
from perfect_runtime.space import needed, shown, space
from perfect_schemas import streams, subjects
from perfect_schemas.commands import Health
from perfect_schemas.errors import PerfectError
from perfect_schemas.queries import IntegrityCheck

PRIVATE = ("connection.json", "nats.json", "nats.conf")
FULL = 0.9  # of what a stream may hold
MOST_SKEW_S = 1.0
HEALTH_S = 2.0
_FRACTION = re.compile(r"\.(\d{6})\d*")  # the server says nanoseconds


def of_host(settings: Settings) -> list[IntegrityCheck]:
    """What can be said without a running system."""
    return [_versions(settings), _permissions(settings.data_dir), _disk(settings)]


async def of_system(bus: Bus, settings: Settings) -> list[IntegrityCheck]:
    return [_server(bus), await _streams(bus), await _clock(bus), await _services(bus, settings)]


def _check(name: str, meaning: str, lines: list[str], detail: str) -> IntegrityCheck:
    """Fails when there are lines: what is wrong, and what to do."""
    return IntegrityCheck(name=name, ok=not lines, detail=detail, meaning=meaning, lines=lines)


def _versions(settings: Settings) -> IntegrityCheck:
    lines: list[str] = []
    found = "not needed"
    if not settings.nats_url:
        try:
            found = ".".join(map(str, read_version(find_nats_server(settings.nats_server))))
        except CannotStart as error:
            lines.append(error.detail)
            found = "missing"
    said = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("perfect-flow", "duckdb", "nats-py", "msgspec")
    )
    return _check(
        "versions",
        f"The programs are there, nats-server {_dotted(MINIMUM)} or newer.",
        lines,
        f"{said}, nats-server {found}, Python {platform.python_version()}",
    )


def _permissions(data_dir: Path) -> IntegrityCheck:
    lines: list[str] = []
    looked_at = 0
    for path, wanted in [(data_dir, 0o700), *((data_dir / name, 0o600) for name in PRIVATE)]:
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        looked_at += 1
        if mode & ~wanted:
            lines.append(f"{path} has the mode {mode:04o}: others can read it; chmod {wanted:o} {path}")
    return _check(
        "permissions",
        "Nobody but the owner can read the data folder and the credentials in it.",
        lines,
        f"{looked_at} paths under {data_dir.absolute()}",
    )


def _disk(settings: Settings) -> IntegrityCheck:
    folder = settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    total, free = space(folder)
    wanted = needed(total, settings.min_free_bytes)
    lines = (
        [f"less than {shown(wanted)} are free: the read model waits for room; free some"]
        if free < wanted
        else []
    )
    return _check(
        "disk", "There is room on the disk.", lines, f"{shown(free)} are free on the disk of {folder}"
    )


def _server(bus: Bus) -> IntegrityCheck:
    version = bus.nc.connected_server_version
    is_old = (version.major, version.minor) < MINIMUM
    lines = [f"Perfect needs nats-server {_dotted(MINIMUM)} or newer: update it"] if is_old else []
    return _check(
        "server",
        "The NATS server is new enough.",
        lines,
        f"nats-server {version.major}.{version.minor}.{version.patch}",
    )


async def _streams(bus: Bus) -> IntegrityCheck:
    lines: list[str] = []
    said: list[str] = []
    for wanted in streams.ALL:
        try:
            info = await bus.js.stream_info(wanted.name)
        except NotFoundError:
            lines.append(f"the stream {wanted.name} is missing: `perfect up` makes it")
            continue
        state, most = info.state, info.config.max_bytes or -1
        said.append(f"{wanted.name} {state.messages:,} messages, {shown(state.bytes)}")
        if wanted.discard == "new" and most > 0 and state.bytes > most * FULL:
            lines.append(
                f"the stream {wanted.name} holds {shown(state.bytes)} of at most {shown(most)}: when it is full, runs "
                f"stand still; raise PERFECT_{wanted.name}_MAX_BYTES, or have ended runs leave the bus sooner "
                "(PERFECT_PURGE_AFTER_S)"
            )
    return _check("streams", "Every stream is there and has room.", lines, "; ".join(said))


async def _clock(bus: Bus) -> IntegrityCheck:
    before = time.time()
    answer: dict[str, Any] = json.loads(
        (await bus.nc.request(f"$JS.API.STREAM.INFO.{streams.EVENTS.name}", b"{}", timeout=HEALTH_S)).data
    )
    after = time.time()
    said = _FRACTION.sub(r".\1", answer.get("ts", ""))
    if not said:
        return _check("clock", _CLOCK, ["the server does not say what time it is"], "unknown")
    server = datetime.fromisoformat(said).timestamp()
    skew = 0.0 if before <= server <= after else min(server - before, server - after, key=abs)
    lines = (
        [
            f"the server's clock is {skew:+.1f} s from this one: set them by NTP, schedules and durations depend on them"
        ]
        if abs(skew) > MOST_SKEW_S
        else []
    )
    return _check("clock", _CLOCK, lines, f"{skew * 1000:+.1f} ms")


_CLOCK = f"The server's clock and this one agree within {MOST_SKEW_S:.0f} s."


async def _services(bus: Bus, settings: Settings) -> IntegrityCheck:
    lines: list[str] = []
    said: list[str] = []
    for name in SERVICES:
        try:
            reply = await bus.ask(subjects.health(name), {}, timeout_s=HEALTH_S, try_s=HEALTH_S)
        except PerfectError:
            lines.append(
                f"the {name} service does not answer: its log is in {settings.data_dir.absolute() / 'logs'}"
            )
            continue
        health = msgspec.json.decode(reply.value, type=Health)
        said.append(f"{name} {health.status}")
        if health.status != "ready":
            lines.append(
                f"the {name} service is {health.status}" + (f": {health.detail}" if health.detail else "")
            )
    return _check("services", "Every service is ready.", lines, ", ".join(said))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
