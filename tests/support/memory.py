"""How much memory processes hold (Linux)."""

from collections.abc import Iterable
from pathlib import Path


def rss_bytes(pids: Iterable[int]) -> int:
    return sum(_field(pid, "VmRSS") for pid in pids)


def peak_rss_bytes(pids: Iterable[int]) -> int:
    """The largest since the start or `forget_peak`, of each."""
    return sum(_field(pid, "VmHWM") for pid in pids)


def forget_peak(pids: Iterable[int]) -> None:
    for pid in pids:
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _field(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has no {name}")
