"""One client process, kept running: started, listened to, started again when it ends, ended when nobody wants it."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_launcher import holder, lock, process, sockets
from perfect_launcher.link import Link
from perfect_launcher.output import Output
from perfect_launcher.process import Stamp
from perfect_launcher.workflows import Workflows
from perfect_runtime.decider import Aggregate, handle
from perfect_runtime.nudge import Nudge
from perfect_schemas import subjects
from perfect_schemas.commands import ProcessStatus
from perfect_schemas.envelope import Event
from perfect_schemas.errors import PerfectError
from perfect_schemas.folds.process import Process

STOP_GRACE_S = 6.0  # a worker lets its runs go on for 3 s
HOLDER_S = 3.0  # a holder gets beyond the grace that it gives


class Runner:
    """`keep()` runs as long as the process is wanted; `await end(…)` ends it. aggregate: what is said of the process.

    Cancelled, `keep()` leaves the process running, for the next launcher to take over.
    """

    def __init__(
        self,
        bus: Bus,
        settings: Settings,
        workflows: Workflows,
        aggregate: Aggregate[Process],
        *,
        stamp: Callable[[], Stamp],
    ) -> None:
        assert aggregate.state is not None
        self.aggregate = aggregate
        self._bus = bus
        self._settings = settings
        self._workflows = workflows
        self._stamp = stamp
        known = aggregate.state
        self._moved = Nudge(bus, subjects.live_process(known.id))
        self.output = Output(
            settings.data_dir / "logs" / f"client-{known.name.replace('/', '-')}-{known.id[:8]}.log",
            moved=self._moved.soon,
        )
        folder = settings.data_dir.absolute() / "launcher"
        self._lock_file = folder / f"{known.id}.lock"
        self._socket_file = folder / f"{known.id}.sock"
        self._link: Link | None = None
        self._ending = asyncio.Event()
        self._over = asyncio.Event()
        self._over.set()
        self._end: tuple[float, bool] | None = None
        self._trouble = ""
        self.spawned = asyncio.Event()
        """It was started, or could not be."""

    def renew(self) -> None:
        """Before each `keep()`."""
        self._ending.clear()
        self._end = None
        self.spawned.clear()
        self._trouble = ""

    @property
    def state(self) -> Process:
        assert self.aggregate.state is not None
        return self.aggregate.state

    @property
    def is_running(self) -> bool:
        return self._link is not None

    def status(self, log_lines: int, *, new: bool = False) -> ProcessStatus:
        """Running from when that has been said: pid, start and restarts belong together."""
        state, running = self.state, self.is_running
        is_said = self._link is not None and self._link.pid == state.pid
        if is_said:
            detail = ""
        elif running:
            detail = "is being started"
        else:
            detail = self._trouble or process.ending(state, self._stamp().now)
        return ProcessStatus(
            file=state.file,
            name=state.name,
            wanted=state.wanted,
            running=is_said,
            pid=state.pid if is_said else None,
            started_at=state.started_at if is_said else None,
            restarts=state.restarts,
            detail=detail,
            logs=self.output.last(log_lines),
            new=new,
            id=state.id,
            host=state.host,
            restart_at=None if running else state.restart_at,
        )

    async def keep(self) -> None:
        """Never gives up; each failure makes the next start later, up to 30 s."""
        pause = 0.0
        self._over.clear()
        try:
            while not self._ending.is_set():
                began = time.monotonic()
                try:
                    began -= await self._live(pause)
                    self._trouble = ""
                except (PerfectError, OSError, subprocess.SubprocessError) as error:
                    reason = error.detail if isinstance(error, PerfectError) else str(error)
                    self._trouble = f"cannot be started: {reason}"
                    self.output.say(self._trouble)
                finally:
                    self.spawned.set()
                pause = process.next_pause(pause, time.monotonic() - began)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._ending.wait()
        finally:
            self._over.set()
            self._moved.close()
            self.output.close()

    async def end(self, grace_s: float, *, hurry: bool = False) -> None:
        """SIGTERM, SIGKILL after `grace_s`. hurry: a second SIGTERM in between, after which a worker waits for nothing.

        Asked again meanwhile it only waits.
        """
        self._ending.set()
        if self._end is None:
            self._end = (grace_s, hurry)
            if self._link is not None:
                self._link.end(grace_s, hurry=hurry)
        try:
            async with asyncio.timeout(grace_s + HOLDER_S):
                await self._over.wait()
        except TimeoutError:
            if self._link is not None:
                self._link.kill()
            await self._over.wait()

    async def sweep(self) -> None:
        """In place of `keep()` for what is not wanted: an earlier launcher may have died over its end."""
        self._over.clear()
        self._ending.set()
        self._end = (STOP_GRACE_S, False)
        try:
            link = await Link.find(self._socket_file)
            if link is None:
                await self._say(lambda known: process.recover(known, self._stamp()))
            else:
                await self._follow(link, 0.0)
        except OSError as error:
            self._trouble = f"cannot be ended: {error}"
        finally:
            self._over.set()
            self.output.close()

    async def _live(self, last_pause_s: float) -> float:
        """One life of the process, or what is left of it. Returns how long it had lived before, in seconds. Raises what keeps it
        from starting.
        """
        link = await Link.find(self._socket_file)
        if link is None:
            await self._say(lambda known: process.recover(known, self._stamp()))
            link = await self._start()
        await self._follow(link, last_pause_s)
        return link.age_s

    async def _follow(self, link: Link, last_pause_s: float) -> None:
        began = time.monotonic() - link.age_s
        self._link = link
        self.output.begin(link.lines)
        if self._end is not None:
            link.end(self._end[0], hurry=self._end[1])
        try:
            await self._say(lambda known: process.started(known, link.pid, self.state.host, self._stamp()))
            self.spawned.set()
            code = await link.follow(self.output.hear)
        finally:
            link.close()
            self._link = None
        if code is None and (again := await Link.find(self._socket_file)) is not None:
            return await self._follow(again, last_pause_s)
        pause = process.next_pause(last_pause_s, time.monotonic() - began)
        next_s = None if self._ending.is_set() else pause
        self.output.say(_how(code) + (f"; starts again in {pause:g} s" if next_s is not None else ""))
        await self._say(lambda known: process.exited(known, link.pid, code, next_s, self._stamp()))
        return None

    async def _start(self) -> Link:
        """A new life: a holder, which starts the client process. It inherits the lock and the socket that it listens on."""
        path = self._workflows.find(self.state.file)
        descriptor = lock.take(self._lock_file)
        if descriptor is None:
            raise OSError(f"another process runs {self.state.file} (it holds {self._lock_file})")
        try:
            self.output.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with sockets.listen(self._socket_file) as listener, self.output.file.open("ab") as log:
                self._spawn(path, descriptor, listener.fileno(), log)
        finally:
            os.close(descriptor)  # the holder has it now
        link = await Link.find(self._socket_file)
        if link is None:
            raise OSError(f"what was to hold it ended at once; its log is {self.output.file}")
        return link

    def _spawn(self, path: Path, lock_fd: int, listener: int, log: IO[bytes]) -> None:
        settings = msgspec.structs.replace(
            self._settings,
            data_dir=self._settings.data_dir.absolute(),
            workflows_dir=self._workflows.folder,
        )
        spec = {
            "log": str(self.output.file.absolute()),
            "listener": listener,
            "lock": lock_fd,
            "folder": str(self._workflows.folder),
            "alone_s": holder.ALONE_S,
            "command": [sys.executable, "-m", "perfect_sdk.worker", str(path), f"--name={self.state.name}"],
        }
        held = subprocess.Popen(
            [sys.executable, "-P", "-m", "perfect_launcher.holder", json.dumps(spec)],
            env={**os.environ, **settings.environment(), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock_fd, listener),
            start_new_session=True,
        )
        threading.Thread(target=held.wait, name=f"wait-{held.pid}", daemon=True).start()  # else a zombie

    async def _say(self, decide: Callable[[Process | None], tuple[Event, ...]]) -> None:
        await handle(self._bus, self.aggregate, decide)


def _how(code: int | None) -> str:
    if code is None:
        return "ended with the process that held it"
    return f"ended ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
