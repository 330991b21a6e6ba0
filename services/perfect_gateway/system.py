"""What the settings page shows: the settings in effect and where each came from, what takes room on disk, versions."""

import asyncio
import os
import platform
import re
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

import perfect_ui
from perfect_bus import Bus
from perfect_bus.settings import READ_MODEL, Settings

PACKAGES = ("perfect-flow", "duckdb", "litestar", "granian", "nats-py", "msgspec")
IN_CODE = "the program"
MEANINGS = {
    READ_MODEL: "the read model",
    f"{READ_MODEL}.wal": "the read model's write-ahead log",
    "nats": "the streams: the truth",
    "logs": "what the services and client processes print",
    "snapshots": "copies of the read model, for SQL",
}
_USER = re.compile(r"://[^/@\s]*@")


def effective(settings: Settings) -> list[dict[str, str]]:
    """By name; without what a URL has before its host."""
    loaded, origin = Settings.load_with_origin()
    found = []
    for name in sorted(origin):
        value = getattr(settings, name)
        is_loaded = str(getattr(loaded, name)) == str(value)
        found.append(
            {
                "name": name,
                "value": "–" if value is None else _USER.sub("://***@", str(value)),
                "origin": origin[name] if is_loaded else IN_CODE,
            }
        )
    return found


def retention(settings: Settings) -> list[str]:
    """What is kept for how long, in sentences."""
    purge = settings.purge_after_s
    runs, lines = settings.keep_events_days, settings.keep_logs_days
    return [
        f"The events of a run leave the bus {purge / 3600:g} h after its end; the read model keeps them."
        if purge
        else "The events of a run never leave the bus.",
        f"Runs and their events leave the read model after {runs} days, a month at a time."
        if runs
        else "Runs and their events stay in the read model for ever.",
        f"Log lines leave it after {lines} days, a month at a time."
        if lines
        else "Log lines stay in it for ever.",
        f"What leaves it is kept as Parquet files in {settings.archive_dir}."
        if settings.archive_dir
        else "What leaves it is gone: no archive folder is set (PERFECT_ARCHIVE_DIR).",
    ]


async def streams(bus: Bus) -> list[dict[str, Any]] | None:
    """Largest first; None while the server does not answer."""
    try:
        found = await bus.js.streams_info()
    except (NatsError, JetStreamError, TimeoutError):
        return None
    rows = [
        {
            "name": one.config.name or "",
            "messages": one.state.messages,
            "bytes": one.state.bytes,
            "most_bytes": one.config.max_bytes if (one.config.max_bytes or -1) > 0 else None,
        }
        for one in found
    ]
    return sorted(rows, key=lambda row: (-row["bytes"], row["name"]))


def folders(settings: Settings) -> dict[str, Any]:
    """What the data folder and the archive hold, largest first, and how much room their disk has. Blocks."""
    kept = [(one, MEANINGS.get(one.name, "")) for one in _entries(settings.data_dir)]
    if settings.archive_dir is not None:
        kept.append((settings.archive_dir, "the archive"))
    rows = [
        {"name": one.name, "path": str(one), "meaning": meaning, "bytes": _size(one)} for one, meaning in kept
    ]
    try:
        free: int | None = shutil.disk_usage(settings.data_dir).free
    except OSError:
        free = None
    rows.sort(key=lambda row: (-row["bytes"], row["name"]))
    return {
        "folder": str(settings.data_dir),
        "rows": [row for row in rows if row["bytes"]],
        "bytes": sum(row["bytes"] for row in rows),
        "free": free,
    }


def versions(bus: Bus) -> list[dict[str, str]]:
    found = [{"name": "python", "version": platform.python_version()}]
    server = bus.nc.connected_server_version
    found.append({"name": "nats-server", "version": f"{server.major}.{server.minor}.{server.patch}"})
    for name in PACKAGES:
        try:
            found.append({"name": name, "version": version(name)})
        except PackageNotFoundError:
            found.append({"name": name, "version": "not installed"})
    return found


async def sizes(bus: Bus, settings: Settings) -> dict[str, Any]:
    """What moves on `/settings`."""
    on_bus, on_disk = await asyncio.gather(streams(bus), asyncio.to_thread(folders, settings))
    return {"streams": on_bus, "disk": on_disk}


async def drawn(bus: Bus, settings: Settings, _: int) -> str:
    return perfect_ui.render("parts/sizes.html", **await sizes(bus, settings))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _size(path: Path) -> int:
    """Bytes that it takes on disk, with all that is below it; what vanishes meanwhile does not count."""
    try:
        entry = path.lstat()
    except OSError:
        return 0
    total = entry.st_blocks * 512
    for parent, _, names in os.walk(path):
        for name in names:
            try:
                total += Path(parent, name).lstat().st_blocks * 512
            except OSError:
                continue
    return total
