"""What a comparison asks of a side, Perfect's or a peer's: each workload gives figures by name.

A figure that both sides have is compared. `FIGURES` says what the names mean.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from peers.environment import NotInstalled

PATIENCE_S = 55.0  # for one call: two of them are within two minutes
T = TypeVar("T")

Figures = dict[str, float]


class NotDone(Exception):
    """The side has no such thing, or did not do it in time; the message says which."""


class Kind(msgspec.Struct, frozen=True):
    """label: with the size of its workload in braces. beside: the figure of Perfect's that a peer's is compared with, where
    Perfect has none of this name.
    """

    workload: str
    label: str
    unit: str
    is_more_better: bool = False
    beside: str | None = None


FIGURES = {
    "sequential_shown_s": Kind("W1", "{sequential} sequential tasks, until all are shown", "s"),
    "sequential_code_s": Kind("W1", "… until the flow's code has ended", "s"),
    "runs_per_s": Kind("W2", "runs of 5 tasks, concurrency 20", "runs/s", True),
    "quick_runs_per_s": Kind(
        "W2", "… the peer's queue polled each 20 ms", "runs/s", True, beside="runs_per_s"
    ),
    "first_line_p50_ms": Kind("W3", "trigger to first line of user code, p50", "ms"),
    "first_line_p95_ms": Kind("W3", "… p95", "ms"),
    "quick_first_line_p50_ms": Kind(
        "W3", "… the peer's queue polled each 20 ms, p50", "ms", beside="first_line_p50_ms"
    ),
    "in_process_p50_ms": Kind("W3", "… started within the worker's own process, p50", "ms"),
    "fan_out_shown_s": Kind("W4", "fan-out of {fan_out} tasks, until all are shown", "s"),
    "fan_out_code_s": Kind("W4", "… until the flow's code has ended", "s"),
    "cold_start_s": Kind("W5", "cold start to healthy, nothing there before", "s"),
    "database_start_s": Kind("W5", "… of which its database server is made and started", "s"),
    "server_mb": Kind("W5", "memory of the server parts, idle (PSS)", "MB"),
    "worker_mb": Kind("W5", "memory of a worker, idle (PSS)", "MB"),
    "idle_percent": Kind("W5", "processor, idle, server and worker", "% of a core"),
    "log_lines_s": Kind("W6", "{log_lines} log lines of a run, until the API shows all", "s"),
    "resumed_s": Kind("W7", "kill -9 of the process that runs the code, until it goes on", "s"),
    "list_p95_ms": Kind("W8", "list of 50 runs over the API, p95", "ms"),
    "refused_percent": Kind("W8", "writes refused, 8 writers at once", "%"),
}

WORKLOADS = ("sequential", "many_runs", "first_line", "fan_out", "log_lines", "kill", "run_list")
"""W5 is measured at the start."""


class Side(Protocol):
    """sizes: how much of a workload this side does, where it is less than all. notes: how it was set up. is_synced: what it
    acknowledges is on the disk by then.
    """

    title: str
    is_synced: bool
    sizes: dict[str, int]
    notes: list[str]

    def install(self) -> dict[str, str]:
        """Versions. Raises NotInstalled."""
        ...

    def start(self, folder: Path) -> Figures:
        """From nothing, in an empty folder, until a worker is ready; W5's cold start."""
        ...

    def rest(self) -> Figures:
        """Right after the start, with nothing to do; the rest of W5."""
        ...

    def warm(self) -> None:
        """A little of the work, which is not counted."""
        ...

    def stop(self) -> None: ...

    def sequential(self, count: int) -> Figures: ...

    def many_runs(self, count: int) -> Figures: ...

    def first_line(self, count: int) -> Figures: ...

    def fan_out(self, count: int) -> Figures: ...

    def log_lines(self, count: int) -> Figures: ...

    def kill(self, count: int) -> Figures: ...

    def run_list(self, count: int) -> Figures: ...


def pauses(count: int, period_s: float) -> list[float]:
    """What to wait before each of `count` triggers of a side that polls. Triggered at once after what the last poll has
    brought, each would meet the poll at the same point of its period; so they are spread evenly over it.
    """
    return [period_s * (n + 0.5) / count for n in range(count)]


def until(
    what: str, get: Callable[[], T | None], patience_s: float = PATIENCE_S, every_s: float = 0.005
) -> T:
    """The first of `get()` that is not None."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if (value := get()) is not None:
            return value
        time.sleep(every_s)
    raise NotDone(f"{what}: not within {patience_s:.0f} s")


__all__ = [
    "FIGURES",
    "PATIENCE_S",
    "WORKLOADS",
    "Figures",
    "Kind",
    "NotDone",
    "NotInstalled",
    "Side",
    "pauses",
    "until",
]
