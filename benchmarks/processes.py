"""The processes that a benchmark has started, what each is, and how much memory it holds (Linux)."""

import os
import re
from pathlib import Path


def below(pid: int | None = None) -> dict[int, str]:
    """pid → what it is, of all that came from the process (None: this one): `projector`, `nats-server`, `worker`,
    `executor 1`. Several services in one process are joined by +.
    """
    found: dict[int, str] = {}
    waiting = [(os.getpid() if pid is None else pid, "")]
    while waiting:
        parent, role = waiting.pop(0)
        children = sorted(_children(parent))
        for n, child in enumerate(children):
            found[child] = _role(child, role, n)
            waiting.append((child, found[child]))
    return found


def pss_mb(pid: int) -> float:
    """What would be free without it: its own pages, and its share of those that others have, too."""
    return _kb(Path(f"/proc/{pid}/smaps_rollup"), "Pss") / 1024


def peak_mb(pid: int) -> float:
    """The most that it has had in memory at a time, shared pages included."""
    return _kb(Path(f"/proc/{pid}/status"), "VmHWM") / 1024


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    except OSError:  # it has ended meanwhile
        pass
    return found


def _role(pid: int, parent: str, number: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return "ended"
    if parent == "worker":
        return f"executor {number + 1}"
    if "service" in words:
        return "+".join(word for word in words[words.index("service") + 1 :] if word.isalpha())
    for role in ("nats-server", "worker", "up"):
        if any(Path(word).name == role for word in words):
            return role
    return Path(words[0]).name


def _kb(file: Path, field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", file.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0
