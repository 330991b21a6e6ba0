"""Which process of which system this is, so that another one on the same system sees whether it still lives."""

import sys
from pathlib import Path

from perfect_schemas.commands import LauncherPresence

START = 19  # of the fields of /proc/<pid>/stat after the name: clock ticks from the boot to the start
STATE = 0


def identity() -> str:
    """Of the system: one boot of one kernel, and the process ids that are seen here. Empty where that cannot be told."""
    if sys.platform != "linux":
        return ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def started_ticks(pid: int) -> int:
    """When the process began, 0 when there is none of that id (any more)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[STATE] in "ZX" else int(fields[START])


def is_dead(launcher: LauncherPresence) -> bool:
    """It ran on this system and does no longer; False where that cannot be told."""
    if not launcher.machine or launcher.machine != identity():
        return False
    return started_ticks(launcher.pid) != launcher.started_ticks
