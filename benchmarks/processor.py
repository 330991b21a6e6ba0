"""How long a workload keeps the processors busy: a floor of its time, as the code is, if nobody ever waited for anybody."""

import os
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from harness import System

T = TypeVar("T")


class Share(NamedTuple):
    """seconds: that all processes together were on a processor, a round. cores: that they share."""

    seconds: float
    cores: int

    @property
    def floor_s(self) -> float:
        return self.seconds / self.cores

    @property
    def words(self) -> str:
        return (
            f"{self.seconds * 1000:.0f} ms on a processor by all processes together, shared by {self.cores}: "
            "as if nobody ever waited for anybody"
        )


def rounds_of(running: System, rounds: int, once: Callable[[], T]) -> tuple[list[T], Share]:
    """What `once()` gave each time, and what a round of it took, this process included."""
    pids = [*running.processes(), *running.worker_processes(), os.getpid()]
    before = on_processor_s(pids)
    each = [once() for _ in range(rounds)]
    used = (on_processor_s(pids) - before) / max(rounds, 1)
    return each, Share(used, os.cpu_count() or 1)


def on_processor_s(pids: Iterable[int]) -> float:
    """All of them together, since their starts. By each process's own clock (Linux), which is exact; `/proc/PID/stat` counts
    hundredths.
    """
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)
