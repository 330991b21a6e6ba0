"""One child process of services, kept alive: started again at once when it dies, with pauses when it keeps dying."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from perfect_bus.settings import ORIGIN, Settings
from perfect_runtime import child
from perfect_runtime.forked import ForkedServices

FIRST_PAUSE_S = 0.1
LAST_PAUSE_S = 5.0
STABLE_S = 2.0  # who lived so long got ready, and is not in a crash loop
LOG_BYTES = 16 * 1024 * 1024


class Keeper:
    """`spawn()`, then `keep()` as a task until `end()`.

    deaths: how often it ended by itself. last_code: its last exit code (-n: signal n). show_logs: it writes to this
    process's stderr instead of its file in `logs/`. origin: where each setting came from, for those who show it.
    forked: what is to be its first process.
    """

    def __init__(
        self,
        names: Sequence[str],
        settings: Settings,
        *,
        notice: Callable[[str], None],
        show_logs: bool,
        origin: Mapping[str, str] | None = None,
        forked: ForkedServices | None = None,
    ) -> None:
        self.names = tuple(names)
        self.label = "+".join(names)
        self.deaths = 0
        self.last_code: int | None = None
        self._settings = settings
        self._origin = origin
        self._notice = notice
        self._show_logs = show_logs
        self._ending = False
        self._forked = forked
        self._process: subprocess.Popen[bytes] | ForkedServices | None = None

    @property
    def pid(self) -> int | None:
        """None while it is down."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def log_path(self) -> Path | None:
        return None if self._show_logs else log_path(self._settings.data_dir, self.label)

    def spawn(self) -> None:
        command = [sys.executable, "-m", "perfect_runtime", "service", *self.names]
        environment = {**os.environ, **self._settings.environment()}
        if self._origin:
            environment[ORIGIN] = msgspec.json.encode(self._origin).decode()
        forked, self._forked = self._forked, None
        if forked is not None:
            log = None if self._show_logs else log_file(self._settings.data_dir, self.label)
            forked.begin(environment, log)
            self._process = forked
            return
        if self._show_logs:
            self._process = child.spawn(command, env=environment)
            return
        with log_file(self._settings.data_dir, self.label).open("ab") as output:
            self._process = child.spawn(command, env=environment, output=output)

    async def keep(self) -> None:
        pause = 0.0
        while self._process is not None:
            began = time.monotonic()
            code = await child.exited(self._process)
            if self._ending:
                return
            self.deaths += 1
            self.last_code = code
            pause = next_pause(pause, time.monotonic() - began)
            self._notice(f"{self.label} ended ({describe(code)}); it is started again")
            await asyncio.sleep(pause)
            if self._ending:
                return
            self.spawn()

    async def end(self, grace_s: float) -> None:
        """SIGTERM, SIGKILL after `grace_s`."""
        self._ending = True
        for process in (self._forked, self._process):
            if process is not None:
                await asyncio.to_thread(child.end, process, grace_s)


def next_pause(last: float, lived_s: float) -> float:
    """How long to wait before the next start. Short after a life that was long enough."""
    if lived_s > STABLE_S or not last:
        return FIRST_PAUSE_S
    return min(last * 2, LAST_PAUSE_S)


def describe(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def log_path(data_dir: Path, label: str) -> Path:
    return data_dir / "logs" / f"{label}.log"


def log_file(data_dir: Path, label: str) -> Path:
    """Where a process writes, after one that has grown too large was set aside."""
    file = log_path(data_dir, label)
    if file.exists() and file.stat().st_size > LOG_BYTES:
        file.replace(file.with_suffix(".log.1"))
    return file
