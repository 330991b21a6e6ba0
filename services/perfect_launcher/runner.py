"""One client process, kept running: started, listened to, started again when it ends, ended when nobody wants it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import msgspec

from perfect_bus import Bus
from perfect_bus.settings import Settings
from perfect_launcher import lock, process
from perfect_launcher.output import Output, Pipe
from perfect_launcher.process import Process, Stamp
from perfect_launcher.workflows import Workflows
from perfect_runtime import child
from perfect_runtime.decider import Aggregate, handle
from perfect_runtime.nudge import Nudge
from perfect_schemas import subjects
from perfect_schemas.commands import ProcessStatus
from perfect_schemas.envelope import Event
from perfect_schemas.errors import PerfectError


class Runner:
    """`keep()` runs as long as the process is wanted; `await end(…)` ends it. aggregate: what is said of the process."""

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
        self._lock_file = settings.data_dir / "launcher" / f"{known.id}.lock"
        self._child: subprocess.Popen[bytes] | None = None
        self._ending = asyncio.Event()
        self._trouble = ""
        self._end: asyncio.Task[None] | None = None
        self.spawned = asyncio.Event()
        """It was started, or could not be."""

    def renew(self) -> None:
        """Before each `keep()`."""
        self._ending.clear()
        self.spawned.clear()
        self._trouble = ""

    @property
    def state(self) -> Process:
        assert self.aggregate.state is not None
        return self.aggregate.state

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def status(self, log_lines: int, *, new: bool = False) -> ProcessStatus:
        """Running from when that has been said: pid, start and restarts belong together."""
        state, running = self.state, self.is_running
        is_said = running and self._child is not None and self._child.pid == state.pid
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
        try:
            while not self._ending.is_set():
                began = time.monotonic()
                try:
                    await self._live(pause)
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
            self.output.close()

    async def end(self, grace_s: float, *, hurry: bool = False) -> None:
        """SIGTERM, SIGKILL after `grace_s`. hurry: a second SIGTERM in between, after which a worker waits for nothing.

        Asked again meanwhile it only waits.
        """
        self._ending.set()
        if self._end is None or self._end.done():
            self._end = asyncio.create_task(self._end_child(grace_s, hurry=hurry))
        await asyncio.shield(self._end)

    async def _end_child(self, grace_s: float, *, hurry: bool) -> None:
        running = self._child
        if running is None or running.poll() is not None:
            return
        running.send_signal(signal.SIGTERM)
        waiting = asyncio.ensure_future(child.exited(running))
        for step in (signal.SIGTERM, signal.SIGKILL) if hurry else (signal.SIGKILL,):
            done, _ = await asyncio.wait({waiting}, timeout=grace_s / (2 if hurry else 1))
            if done:
                return
            running.send_signal(step)
        await waiting

    async def _live(self, last_pause_s: float) -> None:
        """One life of the process. Raises what keeps it from starting."""
        began = time.monotonic()
        running, pipe = await self._spawn()
        pid = running.pid
        self._child = running
        try:
            await self._say(lambda known: process.started(known, pid, socket.gethostname(), self._stamp()))
            self.spawned.set()
            code = await child.exited(running)
        finally:
            if running.poll() is None:  # this launcher is ending, or cannot say that it started it
                running.kill()
            await pipe.end()
        pause = process.next_pause(last_pause_s, time.monotonic() - began)
        again = None if self._ending.is_set() else pause
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self.output.say(f"ended ({how})" + (f"; starts again in {pause:g} s" if again is not None else ""))
        await self._say(lambda known: process.exited(known, pid, code, again, self._stamp()))

    async def _spawn(self) -> tuple[subprocess.Popen[bytes], Pipe]:
        path = self._workflows.find(self.state.file)
        descriptor = lock.take(self._lock_file)
        if descriptor is None:
            raise OSError(f"another process runs {self.state.file} (it holds {self._lock_file})")
        try:
            pipe = await Pipe.open(self.output.add)
            settings = msgspec.structs.replace(
                self._settings,
                data_dir=self._settings.data_dir.absolute(),
                workflows_dir=self._workflows.folder,
            )
            try:
                running = child.spawn(
                    [sys.executable, "-m", "perfect_sdk.worker", path, f"--name={self.state.name}"],
                    env={**os.environ, **settings.environment(), "PYTHONUNBUFFERED": "1"},
                    output=pipe.write_fd,
                    pass_fds=(descriptor,),
                    cwd=self._workflows.folder,
                )
            except OSError:
                await pipe.end()
                raise
            pipe.sent()
            return running, pipe
        finally:
            os.close(descriptor)  # the process holds it now

    async def _say(self, decide: Callable[[Process | None], tuple[Event, ...]]) -> None:
        await handle(self._bus, self.aggregate, decide)
